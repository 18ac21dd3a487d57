// 15 s without progress and 60 s in all: the limits of a stay in DFU mode by themselves.
import { beforeEach, describe, expect, test } from '@jest/globals';
import { DFU_SILENT_MS, DFU_TOTAL_MS, DfuStay } from '../../src/flash/dfu-stay.ts';
import type { Bootloader } from '../../src/flash/bootloader.ts';
import { VirtualClock } from '../../src/virtual/clock.ts';

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
      kind: 'rom',
      identity: {
        mcu: '',
        busPath: '',
        uid: null,
        flashSizeBytes: 0,
        transferSizeBytes: 0,
        launchAddress: null,
        version: null,
      },
      read: async (_address, _length, onBytes) => {
        await work((done) => onBytes?.(done));
        return new Uint8Array(0);
      },
      write: async (_plan, hooks) => {
        await work(hooks.erasing.bind(hooks));
        await work(hooks.writing.bind(hooks));
      },
      boot: async () => {},
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
