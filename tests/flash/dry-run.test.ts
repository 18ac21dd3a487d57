// A dry run: gate and plan, nothing touched, and a word about what the real one will need.
import { describe, expect, test } from '@jest/globals';
import { restore } from '../../src/flash/restore.ts';
import { flashBytes, klipperFor, type TestBench } from '../support/bench.ts';
import { POWER, courseOf, rigWith } from '../support/heated.ts';
import { wholeFlash } from '../support/untouched.ts';
import { keptBackup } from '../support/walks.ts';

const CONFIRM = ['cold', 'still'] as const;

describe('a dry run touches nothing and says what will be needed', () => {
  type Planned = { readonly state: string; readonly notes: readonly string[] };
  const DRY_RUNS: Record<string, (rig: TestBench) => Promise<Planned>> = {
    flash: (rig) => flashBytes(rig, klipperFor(rig), { dryRun: true }),
    restore: async ({ kit, place, ...rest }) => {
      const backup = await keptBackup({ kit, place, ...rest });
      const told: string[] = [];
      const order = { place, backup, confirm: CONFIRM, dryRun: true };
      const result = await restore(kit, order, (event) => {
        if (event.kind === 'plan') told.push(event.text);
      });
      expect(told.join()).toMatch(/octopus-v1.1-f446: restore of 0x08000000/);
      return result;
    },
  };

  test.each(
    Object.keys(DRY_RUNS).flatMap(
      (name) =>
        [
          [name, 'unknown', /To be done for real.*confirm: heaters_unplugged/],
          [name, 'power', /power device "heaters" is off/],
          [name, 'unused', undefined],
        ] as const,
    ),
  )('%s, heaters %s', async (name, kind, said) => {
    const rig = await rigWith(kind === 'power' ? POWER : { kind });
    const [course, before, steps] = [courseOf(rig), wholeFlash(rig), rig.steps.length];
    const { state, notes } = (await DRY_RUNS[name]?.(rig)) ?? { state: '', notes: [] };
    expect(state).toBe('planned');
    if (said === undefined) expect(notes).toEqual([]);
    else expect(notes).toEqual([expect.stringMatching(said)]);
    expect(course).toEqual([]);
    expect(rig.steps).toHaveLength(steps);
    expect(wholeFlash(rig).equals(before)).toBe(true);
    rig.bench.dispose();
  });

  test.each(Object.keys(DRY_RUNS))('%s: the gate is asked all the same', async (name) => {
    const rig = await rigWith({ kind: 'unused' });
    rig.bench.printer.reading = { printing: true };
    await expect(DRY_RUNS[name]?.(rig)).rejects.toMatchObject({ code: 'gate-closed' });
    rig.bench.dispose();
  });
});
