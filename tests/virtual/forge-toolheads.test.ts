// Forged images of toolheads have the shapes of the project's own builds (Klipper v0.13.0-730, Katapult v0.0.1-109,
// gcc 12.2), and the virtual CPU starts them where they were linked for and nowhere else.
import { describe, expect, test } from '@jest/globals';
import { inflateSync } from 'node:zlib';
import { boot2Crc, isBoot2, sealBoot2 } from '../../src/virtual/boot2.ts';
import { VirtualClock } from '../../src/virtual/clock.ts';
import { bootAddress, judgeProgram } from '../../src/virtual/cpu.ts';
import { forgeDeployer, forgeKatapult, forgeKlipper, forgeStockBootloader } from '../../src/virtual/forge.ts';
import { loadChip } from '../../src/virtual/silicon/chip-data.ts';
import { FlashMemory } from '../../src/virtual/silicon/flash-memory.ts';

const CHIPS = [
  { mcu: 'stm32g0b1xx', chip: 'stm32g0b1xb', crystalHz: 8_000_000, base: 0x0800_0000, app: 0x0800_2000 },
  { mcu: 'stm32f072xb', chip: 'stm32f072xb', crystalHz: 8_000_000, base: 0x0800_0000, app: 0x0800_2000 },
  { mcu: 'rp2040', chip: 'rp2040', crystalHz: 12_000_000, base: 0x1000_0000, app: 0x1000_4000 },
] as const;

function chipWith(chip: string, address: number, image: Uint8Array) {
  const flash = new FlashMemory(loadChip(chip), new VirtualClock());
  const padded = new Uint8Array(Math.ceil(image.length / 8) * 8).fill(0xff);
  padded.set(image);
  flash.load(address, padded);
  return flash;
}

const word = (image: Uint8Array, at: number) => Buffer.from(image).readUInt32LE(at);

test('the CRC of an RP2040 second stage is CRC-32/MPEG-2', () => {
  // The check value of that CRC over "123456789".
  expect(boot2Crc(Buffer.from('123456789'))).toBe(0x0376_e6e7);
  const stage = sealBoot2(new Uint8Array(300).fill(7));
  expect([stage.length, isBoot2(stage), isBoot2(stage.fill(8, 3, 4)), isBoot2(stage.subarray(4))]).toEqual([
    256,
    true,
    false,
    false,
  ]);
});

// size, stack, reset vector, dictionary of a CAN build: behind Katapult, and bare.
test.each([
  ['stm32g0b1xx', 0x0800_2000, 44712, 0x2002_4000, 0x0800_9709, 0x92c4],
  ['stm32g0b1xx', 0x0800_0000, 44524, 0x2002_4000, 0x0800_76c5, 0x92c4],
  ['stm32f072xb', 0x0800_2000, 43768, 0x2000_4000, 0x0800_960d, 0x90e8],
  ['stm32f072xb', 0x0800_0000, 43532, 0x2000_4000, 0x0800_75b5, 0x90e8],
  ['rp2040', 0x1000_4000, 46736, 0x2004_2000, 0x1000_4061, 0x9a28],
] as const)('klipper of %s at %d', (mcu, linkAddress, size, stack, reset, dictionary) => {
  const image = forgeKlipper({ mcu, linkAddress, transport: 'can' });
  expect([image.length, word(image, 0), word(image, 4)]).toEqual([size, stack, reset]);
  const entry = reset - 1 - linkAddress;
  expect(Buffer.from(image.subarray(entry, entry + 12)).toString('hex')).toBe('72b6024b024a9d4610477047');
  const { config }: { config: unknown } = JSON.parse(
    inflateSync(image.subarray(dictionary)).toString('utf8'),
  );
  expect(config).toMatchObject({ MCU: mcu, CANBUS_FREQUENCY: 1_000_000, RECEIVE_WINDOW: 192 });
});

test('a bare RP2040 image begins with a second stage, its vectors stand behind it', () => {
  const image = forgeKlipper({ mcu: 'rp2040', linkAddress: 0x1000_0100, transport: 'can' });
  expect([image.length, isBoot2(image), word(image, 0x100), word(image, 0x104)]).toEqual([
    46868,
    true,
    0x2004_2000,
    0x1000_0161,
  ]);
});

// size, stack (where the request word lies), reset vector, signature.
test.each([
  ['stm32g0b1xx', 0, 4304, 0x2002_3ff8, 0x0800_00a1, 0x98],
  ['stm32f072xb', 0, 4196, 0x2000_3ff8, 0x0800_00c9, 0xc0],
  ['rp2040', 0x100, 7492, 0x2004_1c00, 0x1000_0169, 0x160],
] as const)('katapult of %s over CAN', (mcu, at, size, stack, reset, signature) => {
  const image = Buffer.from(forgeKatapult({ mcu, transport: 'can' }));
  expect([image.length, word(image, at), word(image, at + 4)]).toEqual([size, stack, reset]);
  expect(image.indexOf('CanBoot!')).toBe(signature);
  const app = CHIPS.find((chip) => chip.mcu === mcu)?.app ?? 0;
  expect(word(image, image.indexOf(Buffer.from('00010100', 'hex')) + 4)).toBe(app);
  // Stage two's literals, in the order of the builds: request word, bypass word, launch address.
  const literals = Buffer.from(Uint32Array.of(stack, 0xa9a8_243d, 0x7b06_ec45, app).buffer);
  expect(image.indexOf(literals) % 4).toBe(0);
});

test('nobody knows a stock bootloader of a toolhead', () => {
  expect(() => forgeStockBootloader({ mcu: 'rp2040' })).toThrow(
    expect.objectContaining({ code: 'bad-parameter' }),
  );
});

describe.each(CHIPS)('the virtual CPU of $mcu', ({ mcu, chip, crystalHz, base, app }) => {
  const board = { mcu, crystalHz };

  test.each(['usb', 'bridge', 'can'] as const)('starts a Klipper over %s behind Katapult', (transport) => {
    const image = forgeKlipper({ mcu, transport });
    expect(judgeProgram(chipWith(chip, app, image), board, app)).toMatchObject({
      kind: 'klipper',
      mcu,
      transport,
    });
    expect(judgeProgram(chipWith(chip, app + 0x800, image), board, app + 0x800)).toMatchObject({
      kind: 'nothing',
    });
  });

  test('tells an unsealed one by its literals', () => {
    // A real image carries no seal: its reserved vectors lead where the others lead.
    const image = forgeKlipper({ mcu, transport: 'can' });
    image.copyWithin(28, 44, 60);
    expect(judgeProgram(chipWith(chip, app, image), board, app)).toMatchObject({ kind: 'klipper' });
    const elsewhere = chipWith(chip, app + 0x800, image);
    // As if only its reset vector had been moved there.
    elsewhere.load(
      app + 0x800,
      Uint8Array.of(...image.subarray(0, 4), ...Buffer.from(Uint32Array.of(word(image, 4) + 0x800).buffer)),
    );
    expect(judgeProgram(elsewhere, board, app + 0x800)).toMatchObject({
      kind: 'nothing',
      why: 'the image was linked for another address',
    });
  });

  test.each(['usb', 'can'] as const)('starts a Katapult over %s from reset', (transport) => {
    const flash = chipWith(chip, base, forgeKatapult({ mcu, transport }));
    const boot = bootAddress(flash) ?? 0;
    expect(judgeProgram(flash, board, boot)).toMatchObject({ kind: 'katapult', transport, appAddress: app });
  });

  test('starts a bare Klipper from reset', () => {
    const linkAddress = mcu === 'rp2040' ? 0x1000_0100 : base;
    const flash = chipWith(chip, base, forgeKlipper({ mcu, linkAddress, transport: 'can' }));
    expect(judgeProgram(flash, board, bootAddress(flash) ?? 0)).toMatchObject({ kind: 'klipper' });
  });

  test('finds the Katapult inside a deployer', () => {
    const program = judgeProgram(chipWith(chip, app, forgeDeployer({ mcu, transport: 'can' })), board, app);
    const katapult = forgeKatapult({ mcu, transport: 'can' });
    expect(program.kind === 'deployer' && program.katapult.slice(0, katapult.length)).toEqual(katapult);
  });

  test('starts nothing that is torn, for another crystal or of another chip', () => {
    const image = forgeKlipper({ mcu, transport: 'can' });
    const other = mcu === 'rp2040' ? 'stm32g0b1xx' : 'rp2040';
    for (const bad of [
      image.slice().fill(0xff, 20_000),
      forgeKlipper({ mcu, transport: 'can', crystalHz: 16_000_000 }),
      forgeKlipper({ mcu: other, transport: 'can' }),
    ])
      expect(judgeProgram(chipWith(chip, app, bad), board, app).kind).toBe('nothing');
  });
});

test('an RP2040 whose second stage is damaged starts nothing: its ROM waits on USB', () => {
  const image = forgeKatapult({ mcu: 'rp2040', transport: 'can' });
  expect(bootAddress(chipWith('rp2040', 0x1000_0000, image))).toBe(0x1000_0100);
  expect(bootAddress(chipWith('rp2040', 0x1000_0000, image.fill(0, 9, 10)))).toBeUndefined();
});
