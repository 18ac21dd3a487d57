// 15 s without progress and 60 s in all: how long a board may be in DFU mode where its ROM may drive heaters.
import { beforeEach, describe, expect, test } from '@jest/globals';
import { DFU_SILENT_MS, DFU_TOTAL_MS, DfuStay } from '../../src/flash/dfu-stay.ts';
import type { Bootloader } from '../../src/flash/bootloader.ts';
import { restore } from '../../src/flash/restore.ts';
import { VirtualClock } from '../../src/virtual/clock.ts';
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

test('the limits are 15 s and 60 s', () => expect([DFU_SILENT_MS, DFU_TOTAL_MS]).toEqual([15_000, 60_000]));

describe('a stay', () => {
  let clock: VirtualClock;
  let leftAt: number | undefined;
  beforeEach(() => {
    clock = new VirtualClock();
    leftAt = undefined;
  });

  /** A chip that reads and writes for `ms`, telling of its progress every `everyMs`. */
  function chipOf(ms: number, everyMs: number): Bootloader {
    const work = async (tell: (done: number, total: number) => void) => {
      for (let at = 0; at < ms; at += everyMs) {
        await clock.sleep(everyMs);
        // Reset takes the chip off the bus.
        if (leftAt !== undefined) throw new Error('gone');
        tell(at, ms);
      }
    };
    return {
      identity: { mcu: '', busPath: '', uid: null, flashSizeBytes: 0, transferSizeBytes: 0 },
      read: async (_address, _length, onBytes) => {
        await work((done) => onBytes?.(done));
        return new Uint8Array(0);
      },
      write: async (_plan, hooks) => {
        await work(hooks.erasing.bind(hooks));
        await work(hooks.writing.bind(hooks));
      },
      close: async () => {},
    };
  }
  const hooks = { erasing: () => {}, writing: () => {} };
  const letGo = async () => {
    leftAt = clock.now();
  };
  const stayed = (stay: DfuStay, work: (stay: DfuStay) => Promise<unknown>) => stay.within(work(stay), letGo);

  test('that makes progress may last 60 s from the release of reset on, and no longer', async () => {
    await clock.sleep(5_000);
    const stay = new DfuStay(clock, 2_000, true);
    const reading = stayed(stay, () => stay.listen(chipOf(100_000, 1000)).read(0, 0));
    await expect(reading).rejects.toMatchObject({ code: 'dfu-too-long', message: /for 60 s/ });
    expect(leftAt).toBe(62_000);
    expect(() => stay.lastExit()).toThrow(/60 s/);
  });

  test('without progress may last 15 s', async () => {
    const stay = new DfuStay(clock, 0, true);
    const reading = stayed(stay, () => stay.listen(chipOf(40_000, 20_000)).read(0, 0));
    await expect(reading).rejects.toMatchObject({ code: 'dfu-too-long', message: /for 15 s/ });
    expect(leftAt).toBe(15_000);
  });

  test('behind the last exit lasts as long as the write makes progress', async () => {
    const stay = new DfuStay(clock, 0, true);
    await stayed(stay, async () => {
      stay.lastExit();
      await stay.listen(chipOf(100_000, 10_000)).write({ erase: [], write: [] }, hooks);
    });
    expect([leftAt, clock.now()]).toEqual([undefined, 200_000]);
  });

  test('behind the last exit without progress is over after 15 s too', async () => {
    const stay = new DfuStay(clock, 0, true);
    const writing = stayed(stay, async () => {
      stay.lastExit();
      await stay.listen(chipOf(100_000, 15_001)).write({ erase: [], write: [] }, hooks);
    });
    await expect(writing).rejects.toMatchObject({ code: 'dfu-too-long' });
    expect(leftAt).toBe(15_000);
  });

  test('handed over, or where nothing heats, has no limit', async () => {
    for (const stay of [new DfuStay(clock, 0, true), new DfuStay(clock, 0, false)]) {
      stay.handOver();
      await stayed(stay, () => clock.sleep(600_000));
      expect(leftAt).toBeUndefined();
    }
    await stayed(new DfuStay(clock, 0, false), () => clock.sleep(600_000));
    expect([leftAt, clock.sleepers]).toEqual([undefined, 0]);
  });

  test('whose end cannot be brought about says that, once the work has ended', async () => {
    const stay = new DfuStay(clock, 0, true);
    const stuck = stay.within(clock.sleep(20_000), () => Promise.reject(new Error('lines-stuck')));
    await expect(stuck).rejects.toMatchObject({ message: 'lines-stuck' });
    expect(clock.now()).toBe(20_000);
  });
});

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
