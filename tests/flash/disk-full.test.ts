// A disk that cannot be written: before the last exit the flash ends there, and the way out is taken all the same.
import { describe, expect, test } from '@jest/globals';
import { flash, type FlashOrder } from '../../src/flash/flash.ts';
import type { FlashEvent, FlashResult } from '../../src/flash/report.ts';
import { expectSafe, flashBytes, klipperFor, orderFor, setUp, type TestBench } from '../support/bench.ts';
import { expectUntouched } from '../support/untouched.ts';

/** A flash whose journal lies on the same disk, as a job's does; the disk is full from the event on that `when` names. */
function flashWhileDiskFills(rig: TestBench, when: (event: FlashEvent) => boolean): Promise<FlashResult> {
  const { store } = rig.bench;
  const recorder = { before: () => store.write('journal/now.json', new Uint8Array(1)) };
  const order: FlashOrder = orderFor(rig, klipperFor(rig));
  return flash({ ...rig.kit, recorder }, order, (event) => {
    if (when(event)) store.failWrites = true;
  });
}

describe('a disk that is full', () => {
  test('from the start', async () => {
    const rig = await setUp();
    rig.bench.store.failWrites = true;
    const work = () => flashBytes(rig, klipperFor(rig));
    await expectUntouched(rig, work, { code: 'store-failed', visited: true });
    rig.bench.dispose();
  });

  test('from the first step on: Klipper is not even stopped', async () => {
    const rig = await setUp();
    const work = () => flashWhileDiskFills(rig, (event) => event.kind === 'plan');
    await expectUntouched(rig, work, { code: 'store-failed', visited: false });
    rig.bench.dispose();
  });

  // The backup itself fills it, and the journal of the steps lies on it too.
  test('from the backup on: the board does not stay in DFU mode', async () => {
    const rig = await setUp();
    const work = () =>
      flashWhileDiskFills(rig, (event) => event.kind === 'progress' && event.phase === 'backup');
    await expectUntouched(rig, work, { code: 'store-failed', visited: true });
    expect(rig.bench.board.heatersAtRisk).toEqual([]);
    rig.bench.dispose();
  });

  test('from the first erase on: nothing was erased yet', async () => {
    const rig = await setUp();
    const work = () => flashWhileDiskFills(rig, (event) => event.kind === 'phase' && event.phase === 'erase');
    await expectUntouched(rig, work, { code: 'store-failed' });
    rig.bench.dispose();
  });

  test.each(['write', 'verify', 'boot', 'confirm', 'printer'] as const)(
    'from %s on: the flash is good, and is not called a failure',
    async (phase) => {
      const rig = await setUp();
      const result = await flashWhileDiskFills(
        rig,
        (event) => event.kind === 'phase' && event.phase === phase,
      );
      expect(result).toMatchObject({ state: 'done', verified: true, printer: 'ready' });
      expect(result.notes).toContainEqual(expect.stringMatching(/could not be noted down/));
      expect(rig.bench.board.klipper?.version).toBe('v0.13.0-1-gabcdef0');
      expectSafe(rig);
      rig.bench.dispose();
    },
  );
});
