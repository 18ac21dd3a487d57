// What lies in a chip: programs of unknown length, with erased flash and older firmware behind them.
import { describe, expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { recognizeAt } from '../../src/firmware/recognize.ts';
import * as build from './build-image.ts';

const SIZE = 0x80000;
const APP = 0x8000;
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const app = build.klipper({ base: build.FLASH + APP, version: 'v0.13.0-new' });
const older = build.klipper({ base: build.FLASH + APP, version: 'v0.11.0-old', padding: 5000 });
const bootloader = build.katapult();

/** A Katapult and a Klipper, with what an older and longer Klipper left behind the new one. */
const dump = build.chip(SIZE, [0, bootloader], [APP, older], [APP, app]);

describe('a whole dump', () => {
  test('at its start: the bootloader alone', () => {
    expect(recognizeAt(dump, build.FLASH)).toMatchObject({
      kind: 'katapult',
      address: build.FLASH,
      launchAddress: build.FLASH + APP,
      version: 'v0.0.1-109-g902f335',
      sizeBytes: bootloader.length,
      sha256: sha256(bootloader),
      damage: null,
    });
  });

  test('behind the bootloader: the application alone, not the older one behind it', () => {
    expect(recognizeAt(dump.subarray(APP), build.FLASH + APP)).toMatchObject({
      kind: 'klipper',
      linkAddress: build.FLASH + APP,
      version: 'v0.13.0-new',
      sizeBytes: app.length,
      sha256: sha256(app),
      damage: null,
    });
  });

  test('a strange bootloader in front of Klipper is not Klipper', () => {
    const strange = build.chip(SIZE, [0, build.stranger()], [APP, app]);
    build.putWords(strange, 4, [build.FLASH + 0x201]);
    expect(recognizeAt(strange, build.FLASH)).toMatchObject({ kind: 'unknown', version: null });
  });

  test('the stock bootloader in front of Klipper', () => {
    const stock = build.chip(SIZE, [0, build.stockBootloader()], [APP, app]);
    expect(recognizeAt(stock, build.FLASH)).toMatchObject({
      kind: 'stock-bootloader',
      launchAddress: build.FLASH + APP,
      sizeBytes: null,
      sha256: null,
    });
  });
});

describe('the bootloader area alone', () => {
  test('bare Klipper that is longer than the area', () => {
    const bare = build.klipper({ base: build.FLASH, padding: 40000 });
    expect(recognizeAt(bare.subarray(0, APP), build.FLASH)).toMatchObject({
      kind: 'klipper',
      linkAddress: build.FLASH,
      version: null,
      sizeBytes: bare.length,
      sha256: null,
      damage: null,
    });
  });

  test('bare Klipper whose second stage is beyond the area', () => {
    const bare = build.klipper({ base: build.FLASH, padding: 40000 });
    build.putWords(bare, 0x40 + 16, [build.FLASH + 0x9001]);
    expect(recognizeAt(bare.subarray(0, APP), build.FLASH)).toMatchObject({
      kind: 'klipper',
      sizeBytes: null,
      damage: null,
    });
  });

  test.each([
    ['Katapult', bootloader, 'katapult'],
    ['a deployer', build.deployer(), 'katapult-deployer'],
    ['the stock bootloader', build.stockBootloader(), 'stock-bootloader'],
    ['a stranger', build.stranger(), 'unknown'],
  ] as const)('%s', (_, program, kind) => {
    expect(recognizeAt(build.chip(0x20000, [0, program]), build.FLASH)).toMatchObject({ kind });
  });

  test('erased flash is blank; zeros are not, they are what a failed read gives', () => {
    expect(recognizeAt(build.chip(APP), build.FLASH)).toMatchObject({ kind: 'blank', damage: null });
    expect(recognizeAt(new Uint8Array(APP), build.FLASH)).toMatchObject({ kind: 'unknown' });
    expect(recognizeAt(new Uint8Array(), build.FLASH).kind).toBe('blank');
  });
});

describe('what cannot run', () => {
  // Its first instruction is 0x200 behind 0x08008000.
  test.each([
    ['whole', 0x8000, build.chip(0x1000, [0, build.stranger()]), { damage: null, isCut: false }],
    ['cut before it', 0x8000, build.stranger().subarray(0, 0x200), { damage: null, isCut: true }],
    [
      'erased there',
      0x8000,
      build.chip(0x1000, [0, build.stranger().subarray(0, 0x100)]),
      { damage: 'its first instruction is at 0x08008200, which is erased' },
    ],
    [
      'lying elsewhere',
      0x10000,
      build.chip(0x1000, [0, build.stranger()]),
      { damage: 'its first instruction is at 0x08008200, before it' },
    ],
  ])('a stranger that is %s', (_, offset, memory, expected) => {
    expect(recognizeAt(memory, build.FLASH + offset)).toMatchObject({ kind: 'unknown', ...expected });
  });

  test('a torn write: the first bytes are still erased', () => {
    const torn = build.chip(SIZE, [16, app.subarray(16)]);
    expect(recognizeAt(torn, build.FLASH + APP)).toMatchObject({
      kind: 'unknown',
      damage: 'no program begins at 0x08008000',
    });
  });

  test('a torn write: the second half was never written', () => {
    const torn = build.chip(SIZE, [0, app.subarray(0, 300)]);
    expect(recognizeAt(torn, build.FLASH + APP)).toMatchObject({
      kind: 'klipper',
      version: null,
      damage: 'its data dictionary is missing, cut off or damaged',
    });
  });

  test('Klipper at an address it was not built for', () => {
    expect(recognizeAt(build.chip(SIZE, [0, app]), build.FLASH)).toMatchObject({
      kind: 'klipper',
      linkAddress: build.FLASH + APP,
      damage: 'linked for 0x08008000, but lies at 0x08000000',
    });
  });
});
