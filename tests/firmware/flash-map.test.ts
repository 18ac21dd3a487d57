// The map of a chip: every byte in one region, and what is blank, unread or unreadable called so.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { freeSectors, mapOf, type MapParts, type Region } from '../../src/firmware/flash-map.ts';

const BASE = 0x0800_0000;
const K = 1024;
/** An F446 up to its 64 KiB sector (RM0390 table 4). */
const SECTORS = [16, 16, 16, 16, 64].map((kib, index) => ({
  address: BASE + (index < 4 ? index * 16 : 64) * K,
  sizeBytes: kib * K,
}));
const SIZE = 128 * K;
const blank = (length: number) => new Uint8Array(length).fill(0xff);
const whole = (put: Record<number, number> = {}) => {
  const bytes = blank(SIZE);
  for (const [at, length] of Object.entries(put)) bytes.fill(0x5a, Number(at), Number(at) + length);
  return { address: BASE, bytes };
};
const partsOf = (own: Partial<MapParts>): MapParts => ({
  sectors: SECTORS,
  seen: [whole()],
  programs: [],
  unreadable: [],
  ...own,
});
const words = (regions: readonly Region[]) =>
  regions.map(({ address, sizeBytes, holds }) => `${(address - BASE) / K}+${sizeBytes / K} ${holds}`);

describe('what lies where', () => {
  test('a blank chip is one region, and all of it is free', () => {
    expect(words(mapOf(partsOf({})))).toEqual(['0+128 blank']);
    expect(freeSectors(partsOf({}))).toHaveLength(5);
  });

  test('programs over sector borders, data behind them, and what is blank between', () => {
    const programs: Region[] = [
      { address: BASE, sizeBytes: 5 * K, holds: 'bootloader' },
      { address: BASE + 32 * K, sizeBytes: 44 * K, holds: 'application' },
    ];
    const seen = [whole({ [0]: 5 * K, [32 * K]: 44 * K, [100 * K]: 2 * K })];
    expect(words(mapOf(partsOf({ programs, seen })))).toEqual([
      '0+5 bootloader',
      '5+27 blank',
      '32+44 application',
      '76+26 data',
      '102+26 blank',
    ]);
    expect(freeSectors(partsOf({ programs, seen })).map(({ address }) => (address - BASE) / K)).toEqual([16]);
  });

  test('data ends with its last byte, rounded up to a line of 16', () => {
    const [first, second] = mapOf(partsOf({ seen: [whole({ [0]: 17 })] }));
    expect([first?.sizeBytes, first?.holds, second?.holds]).toEqual([32, 'data', 'blank']);
  });

  test('only what was read is called blank', () => {
    const seen = [{ address: BASE + 32 * K, bytes: blank(24 * K) }];
    const programs: Region[] = [{ address: BASE, sizeBytes: 32 * K, holds: 'bootloader' }];
    expect(words(mapOf(partsOf({ seen, programs })))).toEqual([
      '0+32 bootloader',
      '32+24 blank',
      '56+72 unread',
    ]);
    expect(freeSectors(partsOf({ seen, programs })).map(({ address }) => (address - BASE) / K)).toEqual([32]);
  });

  test('what cannot be read is nothing else, and not free', () => {
    const parts = partsOf({ unreadable: SECTORS.slice(1, 2) });
    expect(words(mapOf(parts))).toEqual(['0+16 blank', '16+16 unreadable', '32+96 blank']);
    expect(freeSectors(parts)).toHaveLength(4);
    expect(words(mapOf(partsOf({ seen: [], unreadable: SECTORS })))).toEqual(['0+128 unreadable']);
  });
});

test('whatever is there: no gap, no overlap, from the first byte to the last', () => {
  const spot = fc.tuple(fc.nat(SIZE - 1), fc.integer({ min: 1, max: 40 * K }));
  fc.assert(
    fc.property(
      fc.array(spot, { maxLength: 6 }),
      fc.array(spot, { maxLength: 2 }),
      fc.subarray(SECTORS),
      (data, programs, unreadable) => {
        const regions = mapOf(
          partsOf({
            seen: [whole(Object.fromEntries(data))],
            unreadable,
            programs: programs.map(([at, length], index) => ({
              address: BASE + at,
              sizeBytes: Math.min(length, SIZE - at),
              holds: index === 0 ? ('bootloader' as const) : ('application' as const),
            })),
          }),
        );
        let at = BASE;
        for (const region of regions) {
          expect(region.address).toBe(at);
          expect(region.sizeBytes).toBeGreaterThan(0);
          at += region.sizeBytes;
        }
        expect(at).toBe(BASE + SIZE);
      },
    ),
  );
});
