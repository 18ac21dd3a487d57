// Whole or half-written, by the bytes alone: every way in which a write may have ended early.
import { describe, expect, test } from '@jest/globals';
import { integrityOf } from '../../src/firmware/integrity.ts';
import { recognizeAt } from '../../src/firmware/recognize.ts';
import { forgeKatapult, forgeKlipper, forgeStockBootloader } from '../../src/virtual/forge.ts';

const APP = 0x0800_8000;
const K = 1024;
const klipper = forgeKlipper({ mcu: 'stm32f446xx', linkAddress: APP });
/** As it lies in flash, with old remains far behind it. */
const inFlash = (bytes: Uint8Array) => {
  const memory = new Uint8Array(128 * K).fill(0xff);
  memory.set(bytes);
  memory.fill(0x33, 100 * K, 101 * K);
  return memory;
};
const verdictOn = (memory: Uint8Array, address = APP) => integrityOf(memory, recognizeAt(memory, address));
const without = (from: number, to: number, fill = 0xff) => inFlash(klipper.slice().fill(fill, from, to));

test.each<[string, Uint8Array, number]>([
  ['Klipper', inFlash(klipper), APP],
  ['Klipper of an H723', inFlash(forgeKlipper({ mcu: 'stm32h723xx' })), 0x0802_0000],
  ['Katapult', inFlash(forgeKatapult({ mcu: 'stm32f446xx' })), 0x0800_0000],
])('%s, whole', (_name, memory, address) => {
  expect(verdictOn(memory, address)).toEqual({ integrity: 'whole', why: null });
});

test('nothing in a stock bootloader says how long it is', () => {
  expect(verdictOn(inFlash(forgeStockBootloader({ mcu: 'stm32f446xx' })), 0x0800_0000).integrity).toBe(
    'unproven',
  );
});

describe('half-written', () => {
  test.each<[string, Uint8Array, RegExp]>([
    // Our own order: the first sector erased first, its first transfer written last.
    ['all but the head', without(0, 2 * K), /first bytes at 0x08008000 are blank/],
    ['the head was torn off in its first block', without(0, 64), /first bytes/],
    ['the second sector erased', without(16 * K, 32 * K), /begins at 0x0800f008, where the flash is blank/],
    ['a kilobyte of the second sector', without(16 * K, 17 * K), /blank from 0x0800c000 on/],
    ['one erased kilobyte of a G0', without(20 * K, 21 * K), /blank from 0x0800d000 on/],
    [
      'the end is missing, behind the dictionary',
      without(42 * K, klipper.length),
      /blank from 0x08012800 on/,
    ],
  ])('%s', (_name, memory, why) => {
    expect(verdictOn(memory)).toMatchObject({ integrity: 'half-written', why: expect.stringMatching(why) });
  });
});

describe('damaged', () => {
  test.each<[string, Uint8Array]>([
    ['a spoilt dictionary', without(0x9000, 0x9040, 0)],
    ['something that is no program', inFlash(new Uint8Array(4 * K).fill(0x12))],
  ])('%s', (_name, memory) => {
    expect(verdictOn(memory)).toMatchObject({ integrity: 'damaged', why: expect.stringMatching(/\w/) });
  });

  test('what is linked for elsewhere', () => {
    const memory = inFlash(forgeKlipper({ mcu: 'stm32f446xx', linkAddress: 0x0800_0000 }));
    expect(verdictOn(memory)).toMatchObject({
      integrity: 'damaged',
      why: expect.stringContaining('0x08000000'),
    });
  });
});
