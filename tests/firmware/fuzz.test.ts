// Whatever the bytes: an answer or an OctopusError with advice, and soon.
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { OctopusError } from '../../src/errors.ts';
import { readDictionary } from '../../src/firmware/dictionary.ts';
import { inspect } from '../../src/firmware/inspect.ts';
import { recognizeAt } from '../../src/firmware/recognize.ts';
import * as build from './build-image.ts';
import { CHIPS, toolheadDeployer, toolheadKatapult, toolheadKlipper } from './build-toolhead.ts';

const CODES = ['image-empty', 'image-truncated', 'image-foreign', 'image-too-large'];
const APP = build.FLASH + 0x8000;

/** Answers or refuses; anything else fails the test. */
function inspectOrRefuse(file: Uint8Array): void {
  try {
    expect(inspect(file, 'fuzz').sizeBytes).toBeGreaterThan(0);
  } catch (error) {
    if (!(error instanceof OctopusError)) throw error;
    expect(CODES).toContain(error.code);
    expect(error.advice).not.toBe('');
    expect(error.message).toMatch(/^[\x20-\x7e]+$/);
  }
}

const valid = {
  klipper: build.klipper(),
  katapult: build.katapult(),
  deployer: build.deployer(),
  stock: build.stockBootloader(),
  'rp2040 klipper': toolheadKlipper(CHIPS.rp2040),
  'rp2040 klipper with second stage': toolheadKlipper(CHIPS.rp2040, { base: CHIPS.rp2040.flash }),
  'rp2040 katapult': toolheadKatapult(CHIPS.rp2040),
  'rp2040 deployer': toolheadDeployer(CHIPS.rp2040),
  'g0b1 klipper': toolheadKlipper(CHIPS.stm32g0b1xx),
  hex: new TextEncoder().encode(build.intelHex(build.katapult(), build.FLASH)),
  elf: build.elf([
    { address: APP, bytes: build.klipper() },
    { address: 0x20000000, loadAddress: APP + 0x4000, bytes: build.noise(32) },
  ]),
};

const damages = fc.array(fc.record({ at: fc.nat(), value: fc.nat(255) }), { minLength: 1, maxLength: 12 });

describe('inspect', () => {
  test('any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), inspectOrRefuse));
  });

  test('any bytes behind good vectors', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 100, maxLength: 3000 }), fc.nat(90), (bytes, entry) => {
        build.putWords(bytes, 0, [0x20020000, build.FLASH + (entry | 1)]);
        inspectOrRefuse(bytes);
      }),
    );
  });

  test('any records in HEX', () => {
    const record = fc
      .tuple(fc.nat(6), fc.nat(0xffff), fc.array(fc.nat(255), { maxLength: 20 }))
      .map(([type, offset, data]) => build.hexRecord(type, offset, data));
    fc.assert(
      fc.property(fc.array(record), (records) =>
        inspectOrRefuse(new TextEncoder().encode(records.join('\n'))),
      ),
    );
  });

  test.each(Object.entries(valid))('%s with damaged bytes and a cut end', (_, file) => {
    fc.assert(
      fc.property(damages, fc.double({ min: 0, max: 1, noNaN: true }), (changes, cut) => {
        const copy = file.slice(0, cut < 0.5 ? file.length : Math.ceil(cut * file.length));
        for (const { at, value } of changes) copy[at % copy.length] = value;
        inspectOrRefuse(copy);
      }),
      { numRuns: 300 },
    );
  });

  test('an ELF header with any words in it', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(0xffffffff), { minLength: 9, maxLength: 9 }), (words) => {
        const copy = valid.elf.slice();
        build.putWords(copy, 16, [0x00280002, ...words.slice(1)]);
        inspectOrRefuse(copy);
      }),
    );
  });
});

describe('recognizeAt', () => {
  test.each(Object.entries(valid))('never throws on a damaged %s', (_, program) => {
    fc.assert(
      fc.property(damages, (changes) => {
        const memory = build.chip(0x2000, [0, program.subarray(0, 0x2000)]);
        for (const { at, value } of changes) memory[at % memory.length] = value;
        expect(recognizeAt(memory, build.FLASH).address).toBe(build.FLASH);
      }),
    );
  });
});

/** A Klipper's vectors and first stage, and then nothing but the pattern. */
function filled(size: number, pattern: readonly number[]): Uint8Array {
  const bytes = Uint8Array.from({ length: size }, (_, at) => pattern[at % pattern.length] ?? 0);
  build.putWords(bytes, 0, [0x20020000, build.FLASH + 0x101]);
  bytes.set(build.klipper({ base: build.FLASH }).subarray(0x40, 0x54), 0x100);
  return bytes;
}

describe('files made to take long', () => {
  test.each([
    ['zlib headers', filled(0x200000, [0x78, 0xda, 0x05])],
    ['signatures', filled(0x200000, [...new TextEncoder().encode('CanBoot!')])],
    ['load instructions', filled(0x200000, [0xff, 0x48])],
    ['one HEX record of 8 MB', new TextEncoder().encode(`:10${'0'.repeat(8_000_000)}`)],
    ['empty HEX lines', new TextEncoder().encode(`:00000001FF${'\n'.repeat(8_000_000)}`)],
    ['HEX of single bytes', new TextEncoder().encode(`:0100000000FF\n`.repeat(500_000))],
  ])('%s', (_, file) => {
    // Of this process alone: the machine may be busy with others. What is quadratic takes minutes.
    const before = process.cpuUsage();
    inspectOrRefuse(file);
    recognizeAt(file, build.FLASH);
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(8000);
  });

  test('a dictionary that inflates to a gigabyte is none', () => {
    expect(readDictionary(build.dictionaryOf('v1', { MCU: 'x'.repeat(1_000_000) }))).toBeUndefined();
  });
});
