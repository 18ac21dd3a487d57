// A board that no wire leads to: its Klipper is asked, else its owner; it leaves its bootloader by that one's own word, and
// only a cold start proves that it starts by itself.
import { describe, expect, test } from '@jest/globals';
import { flash } from '../../src/flash/flash.ts';
import type { BoardPlace } from '../../src/flash/place.ts';
import type { FlashEvent, FlashResult } from '../../src/flash/report.ts';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import { expectSafe, failureOf, klipperFor, orderFor, setUp, type TestBench } from '../support/bench.ts';

const NEW = 'v0.13.0-1-gabcdef0';

interface Hands {
  /** What its owner does when the program says so. */
  readonly on: RegExp;
  readonly act: (rig: TestBench) => void | Promise<void>;
}

async function flashIt(
  rig: TestBench,
  hands: readonly Hands[] = [],
  place: Partial<BoardPlace> = {},
  bytes = klipperFor(rig),
): Promise<FlashResult & { readonly told: string }> {
  const notes: string[] = [];
  const order = { ...orderFor(rig, bytes), place: { ...rig.place, pins: undefined, ...place } };
  const hear = (event: FlashEvent): void => {
    if (event.kind !== 'note') return;
    notes.push(event.text);
    for (const { on, act } of hands) if (on.test(event.text)) void act(rig);
  };
  const result = await flash(rig.kit, order, hear);
  return { ...result, told: notes.join('\n') };
}

/** Goes to the printer, fits the jumper and presses the button. */
const JUMPER: Hands = {
  on: /put the BOOT0 jumper .* on/,
  act: async ({ bench }) => {
    await bench.clock.sleep(30_000);
    bench.setJumper(true);
    await bench.pressReset();
  },
};
const COLD_START: Hands = {
  on: /take the BOOT0 jumper off/,
  act: async ({ bench }) => {
    await bench.clock.sleep(10_000);
    bench.setJumper(false);
    await bench.pressReset();
  },
};

const noWires = (options: BenchOptions = {}) => setUp(options);

describe.each(['octopus-v1.1-f446', 'octopus-pro-h723'] as const)('%s', (board) => {
  test('behind a stock bootloader: the touch leads to the ROM, which is left by its own word', async () => {
    const rig = await noWires({ board });
    const result = await flashIt(rig, [COLD_START]);
    expect(result).toMatchObject({ state: 'done', verified: true, version: NEW, printer: 'ready' });
    expect(result.told).toMatch(/The cold start was seen/);
    expect(rig.bench.board.klipper?.version).toBe(NEW);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('behind Katapult: the touch leads there, and COMPLETE out of it', async () => {
    const rig = await noWires({ board, state: 'katapult' });
    const result = await flashIt(rig, [COLD_START]);
    expect(result).toMatchObject({
      state: 'done',
      verified: true,
      bootloader: expect.stringMatching(/^Katapult/),
    });
    expect(rig.bench.board.klipper?.version).toBe(NEW);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('nobody makes the cold start: done, and said', async () => {
    const rig = await noWires({ board });
    const result = await flashIt(rig);
    expect(result.state).toBe('done');
    expect(result.told).toMatch(/No cold start was seen: make one before the next print/);
    rig.bench.dispose();
  });

  test('torn firmware: by hand, with the jumper, which is forgotten first', async () => {
    const rig = await noWires({ board, state: 'bricked' });
    const forgetful: Hands = {
      ...COLD_START,
      act: async ({ bench }) => {
        await bench.clock.sleep(5_000);
        await bench.pressReset();
      },
    };
    const result = await flashIt(rig, [JUMPER, forgetful]);
    expect(result).toMatchObject({ state: 'done', verified: true });
    expect(result.told).toMatch(/It came back in DFU mode: the BOOT0 jumper is still on/);
    rig.bench.dispose();
  });
});

test('an F429 is not asked for a ROM that it does not reach: by hand', async () => {
  const rig = await noWires({ board: 'octopus-v1.1-f429' });
  // Who lies below its Klipper is known from an earlier time.
  await rig.kit.store.write(
    'boards/octopus-v1.1-f429.json',
    new TextEncoder().encode('{"bootloader":"other"}'),
  );
  const result = await flashIt(rig, [JUMPER, COLD_START]);
  expect(result).toMatchObject({ state: 'done', verified: true });
  expect(rig.bench.board.klipper?.version).toBe(NEW);
  expectSafe(rig);
  rig.bench.dispose();
});

test('nobody comes to the printer: nothing was changed, and it is said what to do', async () => {
  const rig = await noWires({ state: 'bricked' });
  const failure = await failureOf(flashIt(rig));
  expect(failure).toMatchObject({ code: 'no-device', onBoard: expect.stringMatching(/not changed/) });
  expectSafe(rig);
  rig.bench.dispose();
});

test('a device in DFU mode that was there before is nobody: it has to come again', async () => {
  const rig = await noWires({ state: 'bricked' });
  rig.bench.setJumper(true);
  await rig.bench.pressReset();
  await rig.bench.settle();
  const again: Hands = { on: /reset once more/, act: async ({ bench }) => bench.pressReset() };
  expect(await flashIt(rig, [again, COLD_START])).toMatchObject({ state: 'done' });
  rig.bench.dispose();
});

test('two boards of a kind, and nobody said which: its owner shows it', async () => {
  const rig = await noWires({
    boards: [
      { busPath: '1-1.4', uid: '0102030405060708090a0b0c', lines: { boot0Pin: 'gpio5', nrstPin: 'gpio6' } },
    ],
  });
  const result = await flashIt(rig, [JUMPER, COLD_START]);
  expect(result).toMatchObject({ state: 'done' });
  expect([rig.bench.boards[0]?.klipper?.version, rig.bench.boards[1]?.klipper?.version]).toEqual([
    NEW,
    expect.not.stringMatching(NEW),
  ]);
  rig.bench.dispose();
});

test('without a word about the heaters nothing enters the ROM', async () => {
  const rig = await noWires();
  const failure = await failureOf(flashIt(rig, [], { heaters: { kind: 'unknown' } }));
  expect(failure).toMatchObject({ code: 'needs-confirmation' });
  expect(rig.bench.printer.serviceRunning).toBe(true);
  rig.bench.dispose();
});

test('Katapult was known to be there, and the ROM comes: it is left at once', async () => {
  for (const pins of [undefined, { boot0: 'gpio26', nrst: 'gpio19' }]) {
    const rig = await noWires();
    const told = '{"bootloader":"katapult","busPath":"1-1.2"}';
    await rig.kit.store.write('boards/octopus-v1.1-f446.json', new TextEncoder().encode(told));
    const before = rig.bench.board.klipper?.version;
    const failure = await failureOf(flashIt(rig, [], { heaters: { kind: 'unknown' }, pins }));
    expect(failure).toMatchObject({ code: 'needs-confirmation' });
    await rig.bench.settle();
    expect(rig.bench.board.klipper?.version).toBe(before);
    expectSafe(rig);
    rig.bench.dispose();
  }
});

test.each(['used', 'katapult'] as const)(
  'cancelled when its Klipper has been asked already (%s): what comes is let go again',
  async (state) => {
    const rig = await noWires({ state });
    const before = rig.bench.board.klipper?.version;
    const cancel = new AbortController();
    rig.bench.usb.onChange(({ kind }) => {
      if (kind === 'left') cancel.abort();
    });
    const order = { ...orderFor(rig, klipperFor(rig)), place: { ...rig.place, pins: undefined } };
    const failure = await failureOf(flash(rig.kit, order, () => {}, cancel.signal));
    expect(failure).toMatchObject({ code: 'cancelled', onBoard: expect.stringMatching(/not changed/) });
    await rig.bench.settle();
    expect(rig.bench.board.klipper?.version).toBe(before);
    expectSafe(rig);
    rig.bench.dispose();
  },
);
