// On the bench: 15 s without progress and 60 s in all, where the ROM may drive heaters.
import { describe, expect, test } from '@jest/globals';
import { restore } from '../../src/flash/restore.ts';
import {
  BOARDS,
  expectSafe,
  failureOf,
  flashBytes,
  klipperFor,
  setUp,
  type TestBench,
} from '../support/bench.ts';
import { POWER, rigWith } from '../support/heated.ts';
import { expectUntouched } from '../support/untouched.ts';
import { keptBackup } from '../support/walks.ts';

/** DFU 1.1: the request without which nothing goes on. */
const GET_STATUS = 3;
const UNPLUGGED = ['cold', 'still', 'heaters_unplugged'] as const;

/** How long the ROM was on the bus at each visit. */
function romTimes({ bench }: TestBench): number[] {
  const times: number[] = [];
  let cameAt = 0;
  bench.usb.onChange(({ kind, device }) => {
    if (device.productId !== 0xdf11) return;
    if (kind === 'arrived') cameAt = bench.clock.now();
    else times.push(bench.clock.now() - cameAt);
  });
  return times;
}

describe.each([{ kind: 'unknown' }, POWER] as const)('heaters: $kind', (heaters) => {
  test('a chip that says nothing is left after 15 s, by one reset', async () => {
    const rig = await rigWith(heaters);
    const times = romTimes(rig);
    rig.bench.faults.beforeTransfer = (_n, { bRequest }) => (bRequest === GET_STATUS ? 'timeout' : undefined);
    const resets: number[] = [];
    rig.bench.lines.onLineChange(({ pin, drive }) => {
      if (pin === 'gpio19' && drive === 'low') resets.push(rig.bench.clock.now());
    });
    const work = () => flashBytes(rig, klipperFor(rig), { confirm: UNPLUGGED });
    await expectUntouched(rig, work, { code: 'dfu-too-long' });
    expect(times[0]).toBeLessThan(15_500);
    expect(resets).toHaveLength(2);
    rig.bench.dispose();
  });

  test('a chip that reads too slowly is left after 60 s', async () => {
    const rig = await rigWith(heaters, { timesOverride: { transferMs: 300 } });
    const times = romTimes(rig);
    const backup = await keptBackup(rig);
    const order = { place: rig.place, backup, confirm: UNPLUGGED };
    await expectUntouched(rig, () => restore(rig.kit, order, () => {}), { code: 'dfu-too-long' });
    expect(times[0]).toBeLessThan(60_500);
    expect(times[0]).toBeGreaterThan(58_000);
    rig.bench.dispose();
  });

  test('a write that makes progress goes to its end, however long', async () => {
    const rig = await rigWith(heaters, { timesOverride: { transferMs: 60 } });
    const times = romTimes(rig);
    const image = klipperFor(rig, { sizeBytes: 400 * 1024 });
    expect(await flashBytes(rig, image, { confirm: UNPLUGGED })).toMatchObject({
      state: 'done',
      verified: true,
    });
    expect(times).toHaveLength(1);
    expect(times[0]).toBeGreaterThan(70_000);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('a chip that falls silent in a write is left after 15 s, and flashed again', async () => {
    const rig = await rigWith(heaters);
    const times = romTimes(rig);
    const image = klipperFor(rig);
    let blocks = 0;
    rig.bench.faults.beforeTransfer = (_n, { bRequest, wValue }) => {
      if (bRequest === 1 && wValue >= 2) blocks += 1;
      return blocks > 5 ? 'timeout' : undefined;
    };
    const failure = await failureOf(flashBytes(rig, image, { confirm: UNPLUGGED }));
    expect(failure.onBoard).toMatch(/half-written/);
    expect(times[0]).toBeLessThan(25_000);
    expectSafe(rig);
    rig.bench.faults.beforeTransfer = undefined;
    expect(await flashBytes(rig, image, { confirm: UNPLUGGED })).toMatchObject({ state: 'done' });
    rig.bench.dispose();
  });
});

/** One UPLOAD that comes to no answer: the chip is reset into its ROM again. The n-th before or after the first data block. */
function silentOnce({ bench }: TestBench, when: 'before' | 'after', nth: number): void {
  let [uploads, isWritten] = [0, false];
  bench.faults.beforeTransfer = (_n, { bRequest, wValue, wLength }) => {
    isWritten ||= bRequest === 1 && wValue >= 2;
    if (bRequest !== 2 || wLength <= 64 || isWritten !== (when === 'after')) return undefined;
    uploads += 1;
    return uploads === nth ? 'timeout' : undefined;
  };
}

test('a second entry does not begin the 60 s anew', async () => {
  const rig = await rigWith({ kind: 'unknown' }, { timesOverride: { transferMs: 150 } });
  const backup = await keptBackup(rig);
  const work = () => restore(rig.kit, { place: rig.place, backup, confirm: UNPLUGGED }, () => {});
  silentOnce(rig, 'before', 200);
  const times = romTimes(rig);
  await expectUntouched(rig, work, { code: 'dfu-too-long' });
  expect(times).toHaveLength(2);
  expect((times[0] ?? 0) + (times[1] ?? 0)).toBeLessThan(60_500);
  rig.bench.dispose();
});

test('a second entry behind the last exit has all the time it needs', async () => {
  const rig = await rigWith({ kind: 'unknown' }, { timesOverride: { transferMs: 60 } });
  silentOnce(rig, 'after', 100);
  const times = romTimes(rig);
  const image = klipperFor(rig, { sizeBytes: 400 * 1024 });
  expect(await flashBytes(rig, image, { confirm: UNPLUGGED })).toMatchObject({
    state: 'done',
    verified: true,
  });
  expect(times).toHaveLength(2);
  expect(times[0]).toBeGreaterThan(60_000);
  rig.bench.dispose();
});

test('where nothing heats a silent chip has all the time that its protocol gives it', async () => {
  const rig = await rigWith({ kind: 'unused' });
  const times = romTimes(rig);
  rig.bench.faults.beforeTransfer = (_n, { bRequest }) => (bRequest === GET_STATUS ? 'timeout' : undefined);
  await failureOf(flashBytes(rig, klipperFor(rig)));
  expect(times[0]).toBeGreaterThan(16_000);
  rig.bench.dispose();
});

test.each(BOARDS)(
  'first contact with %s, everything slow: the last exit is long before 60 s',
  async (board) => {
    const rig = await setUp({ board, times: 'worst' });
    const place = { ...rig.place, heaters: { kind: 'unknown' } as const };
    const result = await flashBytes({ ...rig, place }, klipperFor(rig), { confirm: UNPLUGGED });
    expect(result).toMatchObject({ state: 'done', backup: { what: 'whole' } });
    expect((result.timings.enter ?? 0) + (result.timings.backup ?? 0)).toBeLessThan(20_000);
    rig.bench.dispose();
  },
);

test('a torn sector is still learnt and mended within the limits', async () => {
  const rig = await rigWith(POWER, { board: 'octopus-pro-h723', rom: { eccRead: 'hang' } });
  let blocks = 0;
  rig.bench.faults.beforeTransfer = (_n, { bRequest, wValue }) => {
    if (bRequest === 1 && wValue >= 2) blocks += 1;
    if (blocks === 7 && bRequest === 3) {
      blocks += 1;
      void rig.bench.clock.sleep(4).then(() => rig.bench.powerCut());
    }
    return undefined;
  };
  await failureOf(flashBytes(rig, klipperFor(rig)));
  rig.bench.faults.beforeTransfer = undefined;
  rig.bench.powerOn();
  await rig.bench.settle();
  const times = romTimes(rig);
  const again = await flashBytes(rig, klipperFor(rig));
  expect(again).toMatchObject({ state: 'done', verified: true });
  expect(again.notes.some((note) => note.includes('cannot be read'))).toBe(true);
  expect(times.length).toBeGreaterThan(1);
  expect(times.reduce((sum, time) => sum + time, 0)).toBeLessThan(60_000);
  rig.bench.dispose();
});
