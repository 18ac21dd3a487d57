// The passport: every kind of image, in every container, and the same answers from each.
import { describe, expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { inspect } from '../../src/firmware/inspect.ts';
import * as build from './build-image.ts';
import { refusalOf } from './refusal.ts';

const AT_32K = build.FLASH + 0x8000;

describe('Klipper', () => {
  test('has a whole passport', () => {
    const image = build.klipper({ mcu: 'stm32h723xx', base: 0x08020000, version: 'v0.13.0-730-g84104bbbd' });
    expect(inspect(image, 'klipper.bin')).toEqual({
      name: 'klipper.bin',
      format: 'bin',
      containerAddress: null,
      kind: 'klipper',
      linkAddress: 0x08020000,
      mcu: 'stm32h723xx',
      version: 'v0.13.0-730-g84104bbbd',
      transport: 'usb',
      canFrequency: null,
      launchAddress: null,
      clockFrequency: 180000000,
      programBytes: image.length,
      sizeBytes: image.length,
      sha256: createHash('sha256').update(image).digest('hex'),
      initialStackPointer: 0x20020000,
      resetVector: 0x08020041,
    });
  });

  test.each([0, 0x800, 0x2000, 0x4000, 0x5000, 0x7000, 0x8000, 0xc000, 0x10000, 0x20000, 0x20200])(
    'linked at offset %d',
    (offset) => {
      const base = build.FLASH + offset;
      expect(inspect(build.klipper({ base }), 'klipper.bin').linkAddress).toBe(base);
    },
  );

  test('rounding the reset vector down would give another address', () => {
    // The reset vector of the real F446 build, 0x0800f009, fits 0x08008000 and 0x0800c000 alike.
    const image = build.klipper({ padding: 0x8000 });
    const atReset = 0x7008;
    image.copyWithin(atReset, 0x40, 0x40 + 20);
    build.putWords(image, 4, [AT_32K + atReset + 1]);
    expect(inspect(image, 'klipper.bin').linkAddress).toBe(AT_32K);
  });

  test.each([
    [{ RESERVE_PINS_USB: 'PA11,PA12' }, 'usb', null],
    [{ RESERVE_PINS_USB: 'PA11,PA12', CANBUS_BRIDGE: 1 }, 'bridge', null],
    [{ CANBUS_FREQUENCY: 500000 }, 'can', 500000],
    [{ SERIAL_BAUD: 250000 }, 'serial', null],
    [{}, null, null],
  ])('with %j talks by %s', (config, transport, canFrequency) => {
    expect(inspect(build.klipper({ config }), 'klipper.bin')).toMatchObject({ transport, canFrequency });
  });

  test('a file padded behind its end keeps its own length', () => {
    const image = build.klipper();
    const padded = build.chip(image.length + 500, [0, image]);
    expect(inspect(padded, 'klipper.bin')).toMatchObject({
      programBytes: image.length,
      sizeBytes: padded.length,
    });
  });

  test('a dictionary from before 2023 does not name its application', () => {
    const image = build.klipper({ namesApp: false });
    expect(inspect(image, 'klipper.bin').version).toBe('v0.13.0-1-gabcdef0');
  });

  test('containing the signature of Katapult is still Klipper', () => {
    const image = build.klipper();
    image.set(new TextEncoder().encode('CanBoot!'), 0x90);
    expect(inspect(image, 'klipper.bin').kind).toBe('klipper');
  });
});

describe('Katapult', () => {
  test.each([
    ['usb', 'usb'],
    ['can', 'can'],
    ['serial', null],
  ] as const)('built for %s', (transport, expected) => {
    const image = build.katapult({ transport, mcu: 'stm32f429xx', launch: 0x08010000 });
    expect(inspect(image, 'katapult.bin')).toMatchObject({
      kind: 'katapult',
      linkAddress: build.FLASH,
      launchAddress: 0x08010000,
      mcu: 'stm32f429xx',
      version: 'v0.0.1-109-g902f335',
      transport: expected,
      canFrequency: null,
      programBytes: image.length,
    });
  });

  test('of an H723 keeps its stack in AXI SRAM', () => {
    const image = build.katapult({ stackTop: 0x2401fff8, launch: 0x08020000, mcu: 'stm32h723xx' });
    expect(inspect(image, 'katapult.bin')).toMatchObject({ kind: 'katapult', launchAddress: 0x08020000 });
  });

  test('whose two witnesses disagree has no launch address', () => {
    const image = build.katapult({ launch: 0x08008000, named: 0x08010000 });
    expect(inspect(image, 'katapult.bin').launchAddress).toBeNull();
  });

  test.each([0, 1, 2, 3])('inside a deployer, %d bytes off alignment', (skew) => {
    const image = build.deployer(build.katapult({ launch: 0x08008000 }), AT_32K, skew);
    expect(inspect(image, 'deployer.bin')).toMatchObject({
      kind: 'katapult-deployer',
      linkAddress: AT_32K,
      launchAddress: AT_32K,
      mcu: 'stm32f446xx',
      transport: 'usb',
      programBytes: image.length,
    });
  });
});

describe('others', () => {
  test.each([0x08008000, 0x08020000])('the stock bootloader launches %d', (launch) => {
    expect(inspect(build.stockBootloader(launch), 'bootloader.bin')).toMatchObject({
      kind: 'stock-bootloader',
      linkAddress: build.FLASH,
      launchAddress: launch,
      mcu: null,
    });
  });

  // The interrupts of the four published ones, and of a chip that no Octopus has (F401: 85).
  test.each([
    [82, 'stm32f407xx'],
    [91, 'stm32f429xx'],
    [97, 'stm32f446xx'],
    [163, 'stm32h723xx'],
    [85, null],
    [81, null],
    [98, null],
  ])('a stock bootloader with vectors for %d interrupts is for %s', (interrupts, mcu) => {
    const image = build.stockBootloader(0x08008000, interrupts);
    expect(inspect(image, 'bootloader.bin')).toMatchObject({ kind: 'stock-bootloader', mcu });
  });

  test('a program nobody knows is unknown, not an error', () => {
    expect(inspect(build.stranger(), 'marlin.bin')).toMatchObject({ kind: 'unknown', linkAddress: null });
  });
});

describe('one build in three containers has one hash', () => {
  const image = build.klipper({ dataBytes: 0x40 });
  const text = image.subarray(0, image.length - 0x40);
  const data = image.subarray(image.length - 0x40);
  const sections = [
    { address: AT_32K, bytes: text },
    { address: 0x20000000, loadAddress: AT_32K + text.length, bytes: data },
    { address: 0, bytes: build.noise(64), allocated: false },
  ];
  test.each([
    ['bin', image],
    ['hex', new TextEncoder().encode(build.intelHex(image, AT_32K))],
    ['elf', build.elf(sections)],
    ['elf', build.elf(sections, { withSections: false })],
  ] as const)('%s', (format, file) => {
    const containerAddress = format === 'bin' ? null : AT_32K;
    expect(inspect(file, 'klipper')).toEqual({ ...inspect(image, 'klipper'), format, containerAddress });
  });
});

describe('cut files', () => {
  const whole = { klipper: build.klipper(), katapult: build.katapult(), deployer: build.deployer() };
  test.each(Object.entries(whole))('%s, cut anywhere behind its vectors', (name, image) => {
    for (let length = 0x80; length < image.length; length += 7) {
      expect(refusalOf(() => inspect(image.subarray(0, length), name)).code).toBe('image-truncated');
    }
  });

  test('the message says how much is missing and where', () => {
    const image = build.klipper();
    const refusal = refusalOf(() => inspect(image.subarray(0, -1), 'klipper.bin'));
    expect(refusal.message).toBe(
      `klipper.bin: klipper of ${image.length} bytes, but only ${image.length - 1} are there`,
    );
    expect(refusal.place).toMatch(/^klipper\.bin\+0x/);
    expect(refusal.advice).toMatch(/make/);
  });

  test('a damaged dictionary', () => {
    const image = build.klipper();
    const middle = image.length - 0x40 - 200;
    image.fill(0x55, middle, middle + 40);
    expect(refusalOf(() => inspect(image, 'klipper.bin'))).toMatchObject({ code: 'image-truncated' });
  });

  test('a program that begins past its end', () => {
    const image = build.stranger();
    build.putWords(image, 4, [0x08100001]);
    expect(refusalOf(() => inspect(image, 'x.bin')).code).toBe('image-truncated');
  });
});
