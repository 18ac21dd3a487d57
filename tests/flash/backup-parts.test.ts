// Which part of a copy is which, by images of the measured shapes; and whatever the bytes: a part, or a refusal.
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { boardByName } from '../../src/boards/boards.ts';
import { OctopusError } from '../../src/errors.ts';
import { contentsOf, partOf, PARTS, wordsFor } from '../../src/flash/backup-parts.ts';
import * as build from '../firmware/build-image.ts';

const board = boardByName('octopus-v1.1-f446');
const h723 = boardByName('octopus-pro-h723');
const APP = board.applicationAddress;
const klipper = build.klipper();
const katapult = build.katapult();
const stock = build.chip(0x8000, [0, build.stockBootloader()]);

const whole = (base: Uint8Array, application: Uint8Array, at = 0x8000) =>
  build.chip(0x80000, [0, base], [at, application]);
const partIn = (copy: Uint8Array, part: (typeof PARTS)[number], address = build.FLASH, of = board) => {
  const { address: from, bytes } = partOf(of, 'copy', { address, bytes: copy }, part);
  return { from, bytes: Buffer.from(bytes) };
};
const codeOf = (work: () => unknown) => {
  try {
    work();
  } catch (error) {
    if (error instanceof OctopusError) return error.code;
    throw error;
  }
  return undefined;
};

describe('the bootloader', () => {
  test('is all that lies before what it launches', () => {
    const copy = whole(katapult, klipper);
    expect(partIn(copy, 'bootloader')).toEqual({
      from: build.FLASH,
      bytes: Buffer.from(copy.subarray(0, 0x8000)),
    });
  });

  test('ends where its own application begins, not where the stock one would', () => {
    const copy = whole(
      build.katapult({ launch: build.FLASH + 0xc000 }),
      build.klipper({ base: build.FLASH + 0xc000 }),
      0xc000,
    );
    expect(partIn(copy, 'bootloader').bytes).toHaveLength(0xc000);
    expect(partIn(copy, 'application')).toMatchObject({ from: build.FLASH + 0xc000 });
  });

  test('has 128 KiB on an H723', () => {
    const copy = whole(build.stockBootloader(0x08020000), build.klipper({ base: 0x08020000 }), 0x20000);
    expect(partIn(copy, 'bootloader', build.FLASH, h723).bytes).toHaveLength(0x20000);
  });

  test('that tells where it ends is whole in less than its area; any other is not', () => {
    expect(partIn(build.chip(0x4000, [0, katapult]), 'bootloader').bytes).toHaveLength(0x4000);
    expect(codeOf(() => partIn(katapult.subarray(0, 100), 'bootloader'))).toBe('unknown-backup');
    expect(codeOf(() => partIn(stock.subarray(0, 0x4000), 'bootloader'))).toBe('unknown-backup');
  });

  test('that nobody knows is one where it launches a Klipper', () => {
    const strange = build.stranger();
    build.putWords(strange, 4, [build.FLASH + 0x201]);
    expect(partIn(whole(strange, klipper), 'bootloader').bytes).toHaveLength(0x8000);
    expect(codeOf(() => partIn(whole(strange, build.chip(16)), 'bootloader'))).toBe('unknown-backup');
  });
});

describe('the application', () => {
  test('is the program alone, without what an older one left behind it', () => {
    const older = build.klipper({ padding: 5000 });
    const copy = build.chip(0x80000, [0, stock], [0x8000, older], [0x8000, klipper]);
    expect(partIn(copy, 'application')).toEqual({ from: APP, bytes: Buffer.from(klipper) });
  });

  test('whose end nobody knows goes to the last byte that is not erased', () => {
    expect(partIn(whole(stock, build.stranger()), 'application').bytes).toHaveLength(build.stranger().length);
  });

  test("without a bootloader begins at the flash's start", () => {
    const bare = build.klipper({ base: build.FLASH });
    expect(partIn(build.chip(0x10000, [0, bare]), 'application')).toEqual({
      from: build.FLASH,
      bytes: Buffer.from(bare),
    });
  });

  test('of a region is what that begins with', () => {
    const region = build.chip(0x4000, [0, klipper]);
    expect(partIn(region, 'application', APP)).toEqual({ from: APP, bytes: Buffer.from(klipper) });
    expect(partIn(region, 'whole', APP).bytes).toHaveLength(0x4000);
  });
});

test('in words, what is in it, and what is wrong with it', () => {
  const words = (copy: Uint8Array, address = build.FLASH) => {
    const { atBase, application } = contentsOf(board, { address, bytes: copy });
    return [wordsFor(atBase), wordsFor(application)];
  };
  expect(words(whole(katapult, klipper))).toEqual([
    'Katapult v0.0.1-109-g902f335',
    'Klipper v0.13.0-1-gabcdef0',
  ]);
  expect(words(whole(stock, build.chip(16)))).toEqual(['stock bootloader', null]);
  expect(words(build.chip(0x4000, [0, klipper]), APP)).toEqual([null, 'Klipper v0.13.0-1-gabcdef0']);
  expect(words(klipper.subarray(0, 300), APP)[1]).toBe('Klipper, cut off');
  expect(words(whole(stock, build.noise(500)))).toEqual(['stock bootloader', null]);
});

test('whatever lies in a copy: a part within it, or a refusal with advice', () => {
  const programs = [
    klipper,
    katapult,
    stock,
    build.stranger(),
    build.klipper({ base: build.FLASH }),
    build.noise(900),
  ];
  const piece = fc.record({
    at: fc.constantFrom(0, 0x4000, 0x8000, 0xc000, 0x8010),
    program: fc.constantFrom(...programs),
    cut: fc.nat(40_000),
  });
  const copies = fc.record({
    pieces: fc.array(piece, { maxLength: 3 }),
    damage: fc.array(fc.record({ at: fc.nat(0x9fff), value: fc.nat(255) }), { maxLength: 6 }),
    size: fc.integer({ min: 1, max: 0x14000 }),
    address: fc.constantFrom(build.FLASH, build.FLASH + 0x4000, APP, build.FLASH + 0x20000),
    part: fc.constantFrom(...PARTS),
  });
  fc.assert(
    fc.property(copies, ({ pieces, damage, size, address, part }) => {
      const copy = build.chip(
        0x14000,
        ...pieces.map(({ at, program, cut }) => [at, program.subarray(0, cut)] as const),
      );
      for (const { at, value } of damage) copy[at] = value;
      try {
        const { from, bytes } = partIn(copy.subarray(0, size), part, address);
        expect(from).toBeGreaterThanOrEqual(address);
        expect(from + bytes.length).toBeLessThanOrEqual(address + size);
        expect(bytes.length).toBeGreaterThan(0);
      } catch (error) {
        if (!(error instanceof OctopusError)) throw error;
        expect(['unknown-backup', 'nothing-would-boot']).toContain(error.code);
        expect(error.advice).not.toBe('');
      }
    }),
    { numRuns: 500 },
  );
});
