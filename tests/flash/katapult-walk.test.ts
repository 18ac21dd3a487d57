// A board with Katapult below its Klipper: known once by the ROM, it is flashed through Katapult from then on.
import { describe, expect, test } from '@jest/globals';
import { recall } from '../../src/flash/board-memory.ts';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import {
  expectSafe,
  failureOf,
  flashBytes,
  klipperFor,
  TWO_BOARDS,
  type TestBench,
} from '../support/bench.ts';
import { setUpKnown } from '../support/walks.ts';

const NEW = 'v0.13.0-1-gabcdef0';

async function runs(rig: TestBench): Promise<string | undefined> {
  await rig.bench.settle();
  return rig.bench.board.klipper?.version;
}

/** Whether the ROM was entered since. */
function watchRom({ bench }: TestBench): () => boolean {
  let seen = false;
  bench.usb.onChange(({ device }) => {
    if (device.productId === 0xdf11) seen = true;
  });
  return () => seen;
}

/** Its application is torn: Katapult starts it, and nothing comes. */
async function tear({ bench, place }: TestBench): Promise<void> {
  bench.flash.load(place.board.applicationAddress + 0x2000, new Uint8Array(0x4000).fill(0xa5));
  await bench.pressReset();
  await bench.settle();
}

describe.each(TWO_BOARDS)('%s', (board) => {
  const known = (options: BenchOptions = {}) => setUpKnown({ board, state: 'katapult', ...options });

  test('by the 1200 baud touch, without the ROM', async () => {
    const rig = await known();
    const enteredRom = watchRom(rig);
    const result = await flashBytes(rig, klipperFor(rig));
    expect(result).toMatchObject({
      state: 'done',
      verified: true,
      version: NEW,
      bootloader: expect.stringMatching(/^Katapult v/),
      boot: expect.stringMatching(/^Klipper v0\.13\S+ on \/dev\/tty/),
      printer: 'ready',
    });
    expect(enteredRom()).toBe(false);
    expect(await runs(rig)).toBe(NEW);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('the same image again writes nothing', async () => {
    const rig = await known();
    await flashBytes(rig, klipperFor(rig));
    expect(await flashBytes(rig, klipperFor(rig))).toMatchObject({
      state: 'done',
      bytesWritten: 0,
      sectorsErased: 0,
      verified: true,
    });
    rig.bench.dispose();
  });

  test('by two resets, where nothing runs that could be asked', async () => {
    const rig = await known();
    await tear(rig);
    const enteredRom = watchRom(rig);
    expect(await flashBytes(rig, klipperFor(rig))).toMatchObject({ state: 'done', verified: true });
    expect(enteredRom()).toBe(false);
    expect(await runs(rig)).toBe(NEW);
    const memory = await recall(rig.kit, board);
    expect(memory.doubleResetGapMs).toBe(250);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('a slow reset line is searched for its gap', async () => {
    // 40 kOhm and 10 uF: 0.48 s until the chip is out of reset.
    const rig = await known({ lines: { resetCapacitorUf: 10 } });
    await tear(rig);
    const enteredRom = watchRom(rig);
    expect(await flashBytes(rig, klipperFor(rig))).toMatchObject({ state: 'done', verified: true });
    expect(enteredRom()).toBe(false);
    expect((await recall(rig.kit, board)).doubleResetGapMs).toBeGreaterThan(490);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('without a word about its heaters it is flashed through Katapult all the same', async () => {
    const rig = await known();
    const place = { ...rig.place, heaters: { kind: 'unknown' } as const };
    expect(await flashBytes({ ...rig, place }, klipperFor(rig))).toMatchObject({ state: 'done' });
    // What Katapult cannot do needs that word.
    const failure = await failureOf(
      flashBytes({ ...rig, place }, klipperFor(rig, { linkAddress: 0x08000000 }), {
        replaceBootloader: true,
      }),
    );
    expect(failure).toMatchObject({ code: 'needs-confirmation' });
    rig.bench.dispose();
  });

  test('an image for another address is refused, and the old firmware runs again', async () => {
    const rig = await known();
    const before = rig.bench.board.klipper?.version;
    // Another offset that Klipper's menuconfig has for these chips.
    const linkAddress = board.includes('h723') ? 0x08020200 : 0x08010000;
    const failure = await failureOf(flashBytes(rig, klipperFor(rig, { linkAddress })));
    expect(failure).toMatchObject({ code: 'wrong-address' });
    expect(await runs(rig)).toBe(before);
    expectSafe(rig);
    rig.bench.dispose();
  });
});
