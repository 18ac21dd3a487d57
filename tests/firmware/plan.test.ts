import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  equalBytes,
  planWrite,
  sectorsOf,
  type PlanSector,
  type WritePlan,
} from '../../src/firmware/plan.ts';

const KIB = 1024;
/** RM0390 table 4: STM32F446, 512 KiB. */
const F446: readonly PlanSector[] = [
  ...[0, 1, 2, 3].map((index) => ({ address: 0x08000000 + index * 16 * KIB, sizeBytes: 16 * KIB })),
  { address: 0x08010000, sizeBytes: 64 * KIB },
  ...[0, 1, 2].map((index) => ({ address: 0x08020000 + index * 128 * KIB, sizeBytes: 128 * KIB })),
];
const H723: readonly PlanSector[] = [0, 1, 2, 3].map((index) => ({
  address: 0x08000000 + index * 128 * KIB,
  sizeBytes: 128 * KIB,
}));
const HEAD = 2048;

const addresses = (sectors: readonly PlanSector[]) => sectors.map(({ address }) => address.toString(16));
const noise = (length: number, seed = 1) =>
  Uint8Array.from({ length }, (_, index) => ((index * 31 + seed * 7) % 254) + 1);
const sizeOf = (sectors: readonly PlanSector[]) => sectors.reduce((sum, sector) => sum + sector.sizeBytes, 0);

describe('sectors an image lies in', () => {
  test.each([
    [1, ['8008000']],
    [16 * KIB - 1, ['8008000']],
    [16 * KIB, ['8008000']],
    [16 * KIB + 1, ['8008000', '800c000']],
    [32 * KIB, ['8008000', '800c000']],
    [32 * KIB + 1, ['8008000', '800c000', '8010000']],
    [96 * KIB, ['8008000', '800c000', '8010000']],
    // An earlier program took sector sizes from the start of the map here and left the last sector unerased.
    [96 * KIB + 1, ['8008000', '800c000', '8010000', '8020000']],
    [128 * KIB, ['8008000', '800c000', '8010000', '8020000']],
    [480 * KIB, ['8008000', '800c000', '8010000', '8020000', '8040000', '8060000']],
  ])('%d bytes at 0x08008000 of an F446', (sizeBytes, expected) => {
    expect(addresses(sectorsOf(F446, 0x08008000, sizeBytes))).toEqual(expected);
  });

  test('one byte past the end is refused', () => {
    expect(() => sectorsOf(F446, 0x08008000, 480 * KIB + 1)).toThrow(
      expect.objectContaining({ code: 'image-overruns-flash' }),
    );
    expect(() => sectorsOf(H723, 0x08020000, 384 * KIB + 1)).toThrow(
      expect.objectContaining({ code: 'image-overruns-flash' }),
    );
  });

  test.each([0x08002000, 0x08008001, 0x08020200])(
    'an image at 0x%s that does not begin a sector is refused',
    (address) => {
      expect(() => sectorsOf(F446, address, 1000)).toThrow(
        expect.objectContaining({ code: 'wrong-address' }),
      );
    },
  );
});

describe('what to write', () => {
  const at = 0x08008000;
  const bytes = noise(46 * KIB);
  const touched = sectorsOf(F446, at, bytes.length);
  const same = () => {
    const current = new Uint8Array(sizeOf(touched)).fill(0x11);
    current.set(bytes);
    return current;
  };

  test('nothing, where the chip holds it already, whatever lies behind it', () => {
    expect(planWrite({ address: at, bytes }, touched, same(), HEAD, 4)).toEqual({ erase: [], write: [] });
  });

  test('everything, where nothing fits: first sector erased first, first bytes written last', () => {
    const plan = planWrite({ address: at, bytes }, touched, new Uint8Array(sizeOf(touched)), HEAD, 4);
    expect(addresses(plan.erase)).toEqual(['8008000', '800c000', '8010000']);
    expect(plan.write.map((run) => [run.address.toString(16), run.bytes.length])).toEqual([
      ['8008800', 46 * KIB - HEAD],
      ['8008000', HEAD],
    ]);
  });

  test('a sector whose content is not known is erased, even if what stands for it fits', () => {
    const unknown = touched[1];
    const plan = planWrite({ address: at, bytes }, touched, same(), HEAD, 4, (sector) => sector === unknown);
    expect(addresses(plan.erase)).toEqual(['8008000', '800c000']);
  });

  test('a change in the last sector rewrites that one and the first', () => {
    const current = same();
    current[40 * KIB] = (current[40 * KIB] ?? 0) ^ 1;
    const plan = planWrite({ address: at, bytes }, touched, current, HEAD, 4);
    expect(addresses(plan.erase)).toEqual(['8008000', '8010000']);
    expect(plan.write.map((run) => [run.address.toString(16), run.bytes.length])).toEqual([
      ['8008800', 16 * KIB - HEAD],
      ['8010000', 14 * KIB],
      ['8008000', HEAD],
    ]);
  });

  test('blank blocks are left to the erase', () => {
    const holes = noise(16 * KIB);
    holes.fill(0xff, 4096, 8192);
    const plan = planWrite(
      { address: at, bytes: holes },
      sectorsOf(F446, at, holes.length),
      new Uint8Array(16 * KIB),
      HEAD,
      4,
    );
    expect(plan.write.map((run) => [run.address.toString(16), run.bytes.length])).toEqual([
      ['8008800', 2048],
      ['800a000', 8192],
      ['8008000', HEAD],
    ]);
  });

  test('the end is padded to the word the flash programs', () => {
    const plan = planWrite(
      { address: 0x08020000, bytes: noise(33) },
      [H723[1] ?? { address: 0, sizeBytes: 0 }],
      new Uint8Array(128 * KIB),
      1024,
      32,
    );
    expect(plan.write).toHaveLength(1);
    expect(plan.write[0]?.bytes).toEqual(Uint8Array.from([...noise(33), ...new Uint8Array(31).fill(0xff)]));
  });
});

test('property: carried out on any flash, a plan leaves the image there, and touches no sector it does not name', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(
        { map: F446, at: 0x08008000 },
        { map: F446, at: 0x08000000 },
        { map: H723, at: 0x08020000 },
      ),
      fc.integer({ min: 1, max: 200 * KIB }),
      fc.array(fc.integer({ min: 0, max: 200 * KIB }), { maxLength: 3 }),
      fc.constantFrom(1024, 2048),
      fc.constantFrom(4, 32),
      ({ map, at }, size, changes, head, word) => {
        const bytes = noise(size);
        const touched = sectorsOf(map, at, size);
        const flash = new Uint8Array(sizeOf(touched)).fill(0x5a);
        flash.set(bytes);
        for (const change of changes) if (change < flash.length) flash[change] = (flash[change] ?? 0) ^ 0x40;
        const before = flash.slice();
        const plan = planWrite({ address: at, bytes }, touched, before, head, word);
        perform(plan, flash, at);
        expect(equalBytes(flash.subarray(0, size), bytes)).toBe(true);
        for (const sector of touched) {
          if (plan.erase.includes(sector)) continue;
          const from = sector.address - at;
          expect(
            equalBytes(
              flash.subarray(from, from + sector.sizeBytes),
              before.subarray(from, from + sector.sizeBytes),
            ),
          ).toBe(true);
        }
        if (plan.erase.length > 0) {
          expect(plan.erase[0]).toBe(touched[0]);
          expect(plan.write.at(-1)?.address).toBe(at);
        }
      },
    ),
    { numRuns: 60 },
  );
});

/** NOR: erase to ones, then every write only clears bits. */
function perform(plan: WritePlan, flash: Uint8Array, base: number): void {
  for (const { address, sizeBytes } of plan.erase)
    flash.fill(0xff, address - base, address - base + sizeBytes);
  for (const run of plan.write) {
    run.bytes.forEach((byte, index) => {
      const at = run.address - base + index;
      flash[at] = (flash[at] ?? 0xff) & byte;
    });
  }
}
