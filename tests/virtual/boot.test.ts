import { expect, test } from '@jest/globals';
import { createBench, type BenchOptions, type VirtualBench } from '../../src/virtual/bench.ts';
import { virtualBoardNames } from '../../src/virtual/board-data.ts';
import { forgeDeployer, forgeKatapult, forgeKlipper, OLD_KLIPPER } from '../../src/virtual/forge.ts';
import type { BoardState } from '../../src/virtual/board-data.ts';
import { restartWith } from './restart-with.ts';

const PINS = { boot0: 'gpio26', nrst: 'gpio19' };

async function ids(bench: VirtualBench): Promise<string[]> {
  return (await bench.usb.list()).map((d) => `${d.vendorId.toString(16)}:${d.productId.toString(16)}`);
}

const STATES: [BoardState, string[]][] = [
  ['used', ['1d50:614e']],
  ['blank', []],
  ['katapult', ['1d50:614e']],
  ['katapult-empty', ['1d50:6177']],
  ['no-bootloader', ['1d50:614e']],
  ['bridge', ['1d50:606f']],
  ['bricked', []],
  // Firmware that runs from its own flash does not notice (RM0090 table 18).
  ['read-protected', ['1d50:614e']],
  ['write-protected', ['1d50:614e']],
];

for (const board of virtualBoardNames()) {
  test.each(STATES)(`${board}: %s with BOOT0 low comes up as %j`, async (state, expected) => {
    const bench = await createBench({ board, state });
    expect(await ids(bench)).toEqual(expected);
    expect(bench.electricalFaults).toEqual([]);
    bench.dispose();
  });

  test.each(STATES)(`${board}: %s with BOOT0 high runs the ROM`, async (state) => {
    const bench = await createBench({ board, state, lines: { jumperFitted: true } });
    expect(await ids(bench)).toEqual(['483:df11']);
    bench.dispose();
  });
}

test('BOOT1 high beside BOOT0 hides the ROM of an F4, and means nothing to an H7', async () => {
  const lines = { jumperFitted: true, boot1High: true };
  const f4 = await createBench({ lines });
  expect([f4.board.running.kind, await ids(f4)]).toEqual(['sram', []]);
  const h7 = await createBench({ board: 'octopus-pro-h723', lines });
  expect(await ids(h7)).toEqual(['483:df11']);
});

test.each<[string, BenchOptions, Uint8Array]>([
  ['of another chip', {}, forgeKlipper({ mcu: 'stm32f429xx' })],
  ['for another crystal', {}, forgeKlipper({ mcu: 'stm32f446xx', crystalHz: 8_000_000 })],
  ['linked elsewhere', {}, forgeKlipper({ mcu: 'stm32f446xx', linkAddress: 0x0801_0000 })],
  ['linked bare', {}, forgeKlipper({ mcu: 'stm32f446xx', linkAddress: 0x0800_0000 })],
  ['with one bit wrong', {}, forgeKlipper({ mcu: 'stm32f446xx' }).map((b, i) => (i === 44000 ? b ^ 1 : b))],
])('a Klipper %s never enumerates', async (_name, options, image) => {
  const bench = await createBench(options);
  await restartWith(bench, 0x0800_8000, image);
  expect([bench.board.running.kind, await ids(bench)]).toEqual(['nothing', []]);
});

test('a CAN node shows nothing on USB and runs all the same', async () => {
  const bench = await createBench();
  await restartWith(bench, 0x0800_8000, forgeKlipper({ mcu: 'stm32f446xx', transport: 'can' }));
  expect(await ids(bench)).toEqual([]);
  expect(bench.board.klipper?.transport).toBe('can');
});

test('an erased first word keeps Katapult in Katapult; anything else there is started, however torn', async () => {
  const bench = await createBench({ state: 'katapult' });
  const torn = forgeKlipper({ mcu: 'stm32f446xx' }).fill(0xff, 0x400);
  await restartWith(bench, 0x0800_8000, torn);
  expect(await ids(bench)).toEqual([]);
  await restartWith(bench, 0x0800_8000, new Uint8Array(32).fill(0xff));
  expect(await ids(bench)).toEqual(['1d50:6177']);
});

// Gaps from the release of the first reset to the second, after the rise of 4.8 ms: katapult src/bootentry.c.
test.each([
  [5, '1d50:614e'],
  [60, '1d50:6177'],
  [480, '1d50:6177'],
  [560, '1d50:614e'],
])('a second reset %d ms after the first comes up as %s', async (gapMs, expected) => {
  const bench = await createBench({ state: 'katapult' });
  const lines = await bench.gpio.open(PINS);
  const pulse = async () => {
    await lines.set({ nrst: 'low' });
    await bench.clock.sleep(20);
    await lines.set({ nrst: 'floating' });
  };
  await pulse();
  await bench.clock.sleep(gapMs);
  await pulse();
  await bench.clock.sleep(3000);
  expect(await ids(bench)).toEqual([expected]);
});

test('a power cut forgets the first reset of a double reset', async () => {
  const bench = await createBench({ state: 'katapult' });
  await bench.pressReset(20);
  await bench.clock.sleep(100);
  bench.powerCut();
  await bench.clock.sleep(10);
  bench.powerOn();
  await bench.settle();
  expect(await ids(bench)).toEqual(['1d50:614e']);
});

test('with the jumper left in, Katapult ends in the ROM: the boot pins are sampled at its reset too', async () => {
  const bench = await createBench({ state: 'katapult' });
  await bench.pressReset();
  await bench.clock.sleep(100);
  bench.setJumper(true);
  await bench.clock.sleep(3000);
  expect(await ids(bench)).toEqual(['483:df11']);
});

test('a deployer replaces the stock bootloader and comes up as Katapult', async () => {
  const bench = await createBench();
  await restartWith(bench, 0x0800_8000, forgeDeployer({ mcu: 'stm32f446xx' }));
  await bench.clock.sleep(10_000);
  expect(await ids(bench)).toEqual(['1d50:6177']);
  const katapult = forgeKatapult({ mcu: 'stm32f446xx' });
  expect(bench.flash.peek(0x0800_0000, katapult.length)).toEqual(katapult);
});

test('a board comes back with its version, its chip and its id', async () => {
  const bench = await createBench();
  expect(await bench.usb.list()).toEqual([
    {
      busPath: '1-1.2',
      deviceNumber: 3,
      vendorId: 0x1d50,
      productId: 0x614e,
      bcdDevice: 0x0100,
      manufacturer: 'Klipper',
      product: 'stm32f446xx',
      serial: '29002C001151383437303738',
      ttyPath: '/dev/ttyACM0',
    },
  ]);
  expect(bench.board.klipper?.version).toBe(OLD_KLIPPER);
});

test('the ROM endangers the heaters that hang on its UART pins', async () => {
  const bench = await createBench({ lines: { jumperFitted: true } });
  expect(bench.board.heatersAtRisk).toEqual(['PB10', 'PB11']);
});

/** A real image carries no seal: its reserved vectors point to the default handler like the others. */
function unsealed(image: Uint8Array): Uint8Array {
  const copy = image.slice();
  copy.copyWithin(28, 44, 60);
  return copy;
}

test('a foreign Klipper is taken by its vectors and its dictionary, and dropped when that is torn', async () => {
  const bench = await createBench({ state: 'no-bootloader' });
  const image = unsealed(
    forgeKlipper({ mcu: 'stm32f446xx', linkAddress: 0x0800_0000, version: 'v0.13.0-1' }),
  );
  await restartWith(bench, 0x0800_0000, image);
  expect(bench.board.klipper?.version).toBe('v0.13.0-1');
  await restartWith(bench, 0x0800_0000, image.slice().fill(0xff, 0x9000));
  expect(bench.board.running.kind).toBe('nothing');
  await restartWith(bench, 0x0800_0000, unsealed(forgeKlipper({ mcu: 'stm32f446xx' })));
  expect(bench.board.running.kind).toBe('nothing');
});

test('on the real clock with no device times a board is there at once', async () => {
  const bench = await createBench({ clock: 'real', times: 'zero' });
  expect(await ids(bench)).toEqual(['1d50:614e']);
  bench.dispose();
});
