// Passports of images for the chips on CAN toolheads: STM32G0B1, STM32F072, RP2040.
import { describe, expect, test } from '@jest/globals';
import { inspect } from '../../src/firmware/inspect.ts';
import { recognizeAt } from '../../src/firmware/recognize.ts';
import * as build from './build-image.ts';
import {
  CHIPS,
  crc32Mpeg2,
  secondStageBlock,
  toolheadDeployer,
  toolheadKatapult,
  toolheadKlipper,
} from './build-toolhead.ts';
import { refusalOf } from './refusal.ts';

const chips = Object.values(CHIPS);
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

test('the checksum of the tests has the published check value of CRC-32/MPEG-2', () => {
  expect(crc32Mpeg2(bytesOf('123456789'))).toBe(0x0376e6e7);
});

describe.each(chips)('$mcu', (chip) => {
  const bases = [chip.launch, chip.flash];

  test.each(bases)('Klipper on CAN, linked at %d', (base) => {
    const image = toolheadKlipper(chip, { base });
    expect(inspect(image, 'klipper.bin')).toMatchObject({
      kind: 'klipper',
      linkAddress: base,
      mcu: chip.mcu,
      version: 'v0.13.0-730-g84104bbbd',
      transport: 'can',
      canFrequency: 1000000,
      clockFrequency: chip.clockHz,
      launchAddress: null,
      programBytes: image.length,
      initialStackPointer: chip.stackTop,
    });
  });

  test('Klipper as USB to CAN bridge carries no bitrate', () => {
    const image = toolheadKlipper(chip, { config: { CANBUS_BRIDGE: 1, RECEIVE_WINDOW: 192 }, usb: true });
    expect(inspect(image, 'klipper.bin')).toMatchObject({ transport: 'bridge', canFrequency: null });
  });

  test('Klipper on USB: of an RP2040 only its USB strings say so', () => {
    const config = chip.mcu === 'rp2040' ? {} : { RESERVE_PINS_USB: 'PA11,PA12' };
    const image = toolheadKlipper(chip, { config, usb: true });
    expect(inspect(image, 'klipper.bin')).toMatchObject({ transport: 'usb', canFrequency: null });
  });

  test('Klipper on a UART', () => {
    const image = toolheadKlipper(chip, { config: { SERIAL_BAUD: 250000, RECEIVE_WINDOW: 192 } });
    expect(inspect(image, 'klipper.bin')).toMatchObject({ transport: 'serial' });
  });

  test.each(['can', 'usb'] as const)('Katapult on %s', (transport) => {
    const image = toolheadKatapult(chip, { transport });
    expect(inspect(image, 'katapult.bin')).toMatchObject({
      kind: 'katapult',
      linkAddress: chip.flash,
      launchAddress: chip.launch,
      mcu: chip.mcu,
      version: 'v0.0.1-109-g902f335',
      transport,
      canFrequency: null,
      programBytes: image.length,
      initialStackPointer: chip.katapultStack,
    });
  });

  // Katapult v0.0.1-80 for a G0B1 on CAN: 4303 bytes, its .data at 4304.
  test.each(['v0.0.1-9-gabcdef0', 'v0.0.1-80-gabcdef0', 'v0.0.1-109-gabcdef0', 'v0.0.1'])(
    'Katapult %s is whole, however long its version is',
    (version) => {
      const image = toolheadKatapult(chip, { version });
      expect(inspect(image, 'katapult.bin')).toMatchObject({ version, programBytes: image.length });
    },
  );

  test('a deployer', () => {
    const image = toolheadDeployer(chip);
    expect(inspect(image, 'deployer.bin')).toMatchObject({
      kind: 'katapult-deployer',
      linkAddress: chip.launch,
      launchAddress: chip.launch,
      mcu: chip.mcu,
      transport: 'can',
      programBytes: image.length,
    });
  });

  test.each([
    ['klipper', toolheadKlipper(chip)],
    ['bare klipper', toolheadKlipper(chip, { base: chip.flash })],
    ['katapult', toolheadKatapult(chip)],
    ['katapult on USB', toolheadKatapult(chip, { transport: 'usb' })],
    ['deployer', toolheadDeployer(chip)],
  ])('%s, cut anywhere, is never whole', (name, image) => {
    for (let length = 1; length < image.length; length += 1) {
      const cut = image.subarray(0, length);
      const kind = ((): string => {
        try {
          return inspect(cut, name).kind;
        } catch {
          return 'refused';
        }
      })();
      // Before its first stage nothing tells what it was; an unknown kind is refused by preflight.
      expect([length, kind]).toEqual([length, length < 0x800 && kind === 'unknown' ? 'unknown' : 'refused']);
    }
  });

  test('in three containers it has one hash', () => {
    const image = toolheadKlipper(chip);
    const whole = inspect(image, 'klipper');
    const hex = bytesOf(build.intelHex(image, chip.launch));
    const elf = build.elf([{ address: chip.launch, bytes: image }]);
    for (const [format, file] of [['hex', hex] as const, ['elf', elf] as const]) {
      expect(inspect(file, 'klipper')).toEqual({ ...whole, format, containerAddress: chip.launch });
    }
  });

  test('in a chip: Katapult at the start, Klipper behind it, remains of an older one behind that', () => {
    const older = toolheadKlipper(chip, { version: 'v0.11.0', usb: true });
    const [katapult, klipper] = [toolheadKatapult(chip), toolheadKlipper(chip)];
    const at = chip.launch - chip.flash;
    const memory = build.chip(0x10000, [0, katapult], [at, older], [at, klipper]);
    expect(recognizeAt(memory, chip.flash)).toMatchObject({
      kind: 'katapult',
      launchAddress: chip.launch,
      damage: null,
    });
    expect(recognizeAt(memory.subarray(at), chip.launch)).toMatchObject({
      kind: 'klipper',
      version: 'v0.13.0-730-g84104bbbd',
      transport: 'can',
      sizeBytes: klipper.length,
      damage: null,
    });
  });
});

describe('an RP2040', () => {
  const { rp2040, stm32g0b1xx } = CHIPS;

  test('starts only from a second stage whose checksum is right', () => {
    const image = toolheadKlipper(rp2040, { base: rp2040.flash });
    image[17] = (image[17] ?? 0) ^ 1;
    expect(refusalOf(() => inspect(image, 'klipper.bin')).code).toBe('image-foreign');
  });

  test('a second stage before the vectors of an STM32 is nothing', () => {
    const image = new Uint8Array(0x1000);
    image.set(secondStageBlock());
    build.putWords(image, 0x100, [stm32g0b1xx.stackTop, 0x08000201]);
    expect(refusalOf(() => inspect(image, 'x.bin')).code).toBe('image-foreign');
  });

  test('an image for behind Katapult that lies at the start of flash is damaged', () => {
    const memory = build.chip(0x10000, [0, toolheadKlipper(rp2040)]);
    expect(recognizeAt(memory, rp2040.flash).damage).toBe('linked for 0x10004000, but lies at 0x10000000');
  });

  test('flash of both families in one HEX file is two programs', () => {
    const hex = build.intelHex(toolheadKlipper(stm32g0b1xx), 0x08002000).replace(/:0{7}1FF\s*$/, '');
    const both = bytesOf(hex + build.intelHex(toolheadKlipper(rp2040), 0x10004000));
    expect(refusalOf(() => inspect(both, 'both.hex')).code).toBe('image-foreign');
  });

  test('an STM32 with its stack where an RP2040 has no RAM', () => {
    const image = toolheadKlipper(rp2040);
    build.putWords(image, 0, [0x20042004]);
    expect(refusalOf(() => inspect(image, 'klipper.bin')).code).toBe('image-foreign');
  });

  test('a UF2 file is refused with the file to give instead', () => {
    const block = new Uint8Array(512);
    build.putWords(block, 0, [0x0a324655, 0x9e5d5157, 0x2000, 0x10000000, 256, 0, 1, 0xe48bff56]);
    const refusal = refusalOf(() => inspect(block, 'klipper.uf2'));
    expect(refusal.code).toBe('image-foreign');
    expect(refusal.advice).toMatch(/16KiB bootloader/);
    expect(refusal.advice).toMatch(/out\/klipper\.bin/);
    expect(refusal.advice).toMatch(/katapult\.bin/);
  });
});
