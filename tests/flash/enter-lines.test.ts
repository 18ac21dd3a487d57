// The design's rules for the two lines, measured on the bench at every change: what may never be wrong.
import { describe, expect, test } from '@jest/globals';
import { OctopusError } from '../../src/errors.ts';
import { flash } from '../../src/flash/flash.ts';
import { withLines, type BoardLines } from '../../src/flash/lines.ts';
import { reset } from '../../src/flash/reset.ts';
import type { GpioHost } from '../../src/ports/gpio.ts';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import {
  expectSafe,
  failureOf,
  flashBytes,
  klipperFor,
  orderFor,
  PINS,
  setUp,
  TWO_BOARDS,
  type TestBench,
} from '../support/bench.ts';

interface Change {
  readonly atMs: number;
  readonly line: 'boot0' | 'nrst';
  readonly drive: string;
}

/** Line changes and arrivals of the ROM from now on. */
function watch({ bench, place }: TestBench): { changes: Change[]; romSeenAt: number[] } {
  const changes: Change[] = [];
  const romSeenAt: number[] = [];
  bench.lines.onLineChange(({ pin, drive }) =>
    changes.push({ atMs: bench.clock.now(), line: pin === place.pins.boot0 ? 'boot0' : 'nrst', drive }),
  );
  bench.usb.onChange(({ kind, device }) => {
    if (kind === 'arrived' && device.productId === 0xdf11) romSeenAt.push(bench.clock.now());
  });
  return { changes, romSeenAt };
}

/** Pulses of reset: from low to floating, and what BOOT0 did meanwhile. */
function pulsesOf(changes: readonly Change[]) {
  const falls = changes.filter(({ line, drive }) => line === 'nrst' && drive === 'low');
  return falls.map((fall) => {
    const rise = changes.find(({ line, drive, atMs }) => {
      return line === 'nrst' && drive === 'floating' && atMs >= fall.atMs;
    });
    const boot0 = changes.findLast(({ line, atMs }) => line === 'boot0' && atMs <= (rise?.atMs ?? 0));
    return {
      heldMs: (rise?.atMs ?? Infinity) - fall.atMs,
      boot0: boot0?.drive ?? 'floating',
      boot0BeforeReleaseMs: (rise?.atMs ?? 0) - (boot0?.atMs ?? 0),
    };
  });
}

describe.each(TWO_BOARDS)('%s', (board) => {
  test.each<[string, BenchOptions, number]>([
    ['seen on USB', {}, 100],
    ['seen on USB, everything slow', { times: 'worst' }, 100],
    ['everything at once', { times: 'zero' }, 100],
    ['big capacitor', { lines: { resetCapacitorUf: 10 } }, 100],
    ['hub that tells late', { timesOverride: { noticeLeftMs: 900 } }, 900],
    ['not on USB', { state: 'bricked' }, 500],
  ])('%s', async (_name, options, leastMs) => {
    const rig = await setUp({ board, ...options });
    const { changes, romSeenAt } = watch(rig);
    await flashBytes(rig, klipperFor(rig));

    const pulses = pulsesOf(changes);
    expect(pulses).toHaveLength(2);
    for (const { heldMs } of pulses) {
      expect(heldMs).toBeGreaterThanOrEqual(100);
      expect(heldMs).toBeLessThanOrEqual(2000);
    }
    const [enter, boot] = pulses;
    expect(enter).toMatchObject({ boot0: 'high' });
    expect(enter?.heldMs).toBeGreaterThanOrEqual(leastMs);
    expect(enter?.boot0BeforeReleaseMs).toBeGreaterThanOrEqual(10);
    expect(boot).toMatchObject({ boot0: 'floating' });
    // BOOT0 goes only when the ROM was seen, and soon after.
    const boot0Released = changes.find(({ line, drive }) => line === 'boot0' && drive === 'floating');
    const [seenAt = Infinity] = romSeenAt;
    expect(boot0Released?.atMs).toBeGreaterThanOrEqual(seenAt);
    expect(boot0Released?.atMs).toBeLessThanOrEqual(seenAt + 300);
    expectSafe(rig);
    rig.bench.dispose();
  });
});

test('a device that never leaves: reset is held no longer than 2 s', async () => {
  const rig = await setUp({ lines: { nrstWireMissing: true } });
  const { changes } = watch(rig);
  await flashBytes(rig, klipperFor(rig)).catch(() => {});
  expect(pulsesOf(changes).map(({ heldMs }) => heldMs)).toEqual([2000, 2000]);
  expectSafe(rig);
  rig.bench.dispose();
});

test('a reset wire that fails in DFU mode: the first error stays, and the power switch is named', async () => {
  const rig = await setUp();
  let pulses = 0;
  const gpio: GpioHost = {
    open: async (pins) => {
      const lines = await rig.kit.gpio.open(pins);
      return {
        read: () => lines.read(),
        close: () => lines.close(),
        set: async (levels) => {
          if (levels.nrst === 'low') pulses += 1;
          if (levels.nrst === 'low' && pulses > 1)
            throw new OctopusError('no-hardware', 'gpiochip0 has gone.', { advice: 'Look.' });
          await lines.set(levels);
        },
      };
    },
  };
  const notes: string[] = [];
  const image = klipperFor(rig, { linkAddress: 0x08010000 });
  const failure = await failureOf(
    flash({ ...rig.kit, gpio }, orderFor(rig, image), (event) => {
      if (event.kind === 'note') notes.push(event.text);
    }),
  );
  expect(failure).toMatchObject({ code: 'wrong-address' });
  expect(notes).toContainEqual(
    'gpiochip0 has gone. The board may still be in its bootloader, with its heaters: switch its power off and on.',
  );
  expectSafe(rig);
  rig.bench.dispose();
});

test('a plain reset leaves BOOT0 alone', async () => {
  const rig = await setUp();
  const { changes } = watch(rig);
  await reset(rig.kit, { place: rig.place, confirm: [] }, () => {});
  expect(changes.map(({ line, drive }) => `${line} ${drive}`)).toEqual(['nrst low', 'nrst floating']);
  expect(pulsesOf(changes)[0]?.heldMs).toBeGreaterThanOrEqual(100);
  rig.bench.dispose();
});

describe('withLines floats both lines, whatever the work leaves behind', () => {
  const both = { boot0: 'high', nrst: 'low' } as const;

  test.each<[string, (lines: BoardLines) => Promise<unknown>, string]>([
    ['driven', (lines) => lines.set(both), 'done'],
    [
      'driven, and an error',
      async (lines) => {
        await lines.set(both);
        throw new Error('lost');
      },
      'lost',
    ],
  ])('%s', async (_name, work, ending) => {
    const rig = await setUp();
    const driven: string[] = [];
    const ended = withLines(rig.kit, PINS, async (lines) => {
      await work(lines).finally(() => driven.push(...Object.values(rig.bench.lines.pins())));
      return 'done';
    });
    expect(await ended.catch(({ message }: Error) => message)).toBe(ending);
    expect(driven.toSorted()).toEqual(['high', 'low']);
    expectSafe(rig);
    // Closed, so that the next job can have them.
    await withLines(rig.kit, PINS, async () => {});
    rig.bench.dispose();
  });
});
