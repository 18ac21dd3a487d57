// Every walk that stops Klipper, ready to be carried out on a rig; a whole copy of the flash is kept by then.
import { dfuEnter } from '../../src/flash/dfu-enter.ts';
import type { Confirmation } from '../../src/flash/gate.ts';
import type { FlashEvent, Report } from '../../src/flash/report.ts';
import { flash } from '../../src/flash/flash.ts';
import { reset } from '../../src/flash/reset.ts';
import { restore } from '../../src/flash/restore.ts';
import { takeBackup } from '../../src/flash/take-backup.ts';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import { klipperFor, orderFor, setUp, type TestBench } from './bench.ts';

export type Walk = (
  rig: TestBench,
  confirm: readonly Confirmation[],
  report?: Report,
) => Promise<{ readonly notes?: readonly string[] }>;

const quiet: Report = () => {};

/** Those that enter the ROM. */
export const ROM_WALKS: Readonly<Record<string, Walk>> = {
  flash: (rig, confirm, report = quiet) =>
    flash(rig.kit, orderFor(rig, klipperFor(rig), { confirm }), report),
  restore: async (rig, confirm, report = quiet) =>
    restore(rig.kit, { place: rig.place, confirm, backup: await keptBackup(rig) }, report),
  backup: ({ kit, place }, confirm, report = quiet) => takeBackup(kit, { place, confirm }, report),
  'dfu-enter': async ({ kit, place }, confirm, report = quiet) => {
    const notes: string[] = [];
    const listen = (event: FlashEvent) => {
      if (event.kind === 'note') notes.push(event.text);
      report(event);
    };
    await dfuEnter(kit, { place, confirm, holdMs: 1000 }, listen);
    return { notes };
  },
};

export const ALL_WALKS: Readonly<Record<string, Walk>> = {
  ...ROM_WALKS,
  reset: ({ kit, place }, confirm, report = quiet) => reset(kit, { place, confirm }, report),
};

/** A rig whose board is known and whose whole flash is kept. */
export async function setUpKnown(options: BenchOptions = {}): Promise<TestBench> {
  const rig = await setUp(options);
  await takeBackup(rig.kit, { place: rig.place, confirm: ['cold', 'still'] }, quiet);
  await rig.bench.settle();
  return rig;
}

export async function keptBackup({ kit, place }: TestBench): Promise<string> {
  const prefix = `backups/${place.board.name}/`;
  const key = (await kit.store.list(prefix.slice(0, -1))).find((one) => one.endsWith('.json'));
  if (key === undefined) throw new Error('there is no backup');
  return key.slice(prefix.length, -'.json'.length);
}

/** The same rig, whose recorder calls `at` with each step once it is on disk. */
export function atEachStep(rig: TestBench, at: (kind: string) => void): TestBench {
  const before: TestBench['kit']['recorder']['before'] = async (step) => {
    await rig.kit.recorder.before(step);
    at(step.kind);
  };
  return { ...rig, kit: { ...rig.kit, recorder: { before } } };
}

const copies = new Map<string, ReadonlyMap<string, Uint8Array>>();

/** A fresh rig in whose store lies what a whole copy of such a board leaves there; the copy is taken once for all of them. */
export async function setUpKept(options: BenchOptions = {}): Promise<TestBench> {
  const key = JSON.stringify(options);
  const kept = copies.get(key) ?? (await storeOf(await setUpKnown(options)));
  copies.set(key, kept);
  const rig = await setUp(options);
  for (const [name, bytes] of kept) await rig.kit.store.write(name, bytes);
  return rig;
}

async function storeOf({ kit, bench }: TestBench): Promise<ReadonlyMap<string, Uint8Array>> {
  const kept = new Map<string, Uint8Array>();
  for (const key of await kit.store.list('')) kept.set(key, (await kit.store.read(key)) ?? new Uint8Array(0));
  bench.dispose();
  return kept;
}
