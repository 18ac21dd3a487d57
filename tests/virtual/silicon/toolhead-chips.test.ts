// The flash of toolheads' chips: numbers of the data sheets, and who may be programmed when.
import { describe, expect, test } from '@jest/globals';
import { loadChip, TOOLHEAD_CHIP_NAMES } from '../../../src/virtual/silicon/chip-data.ts';
import { FlashMemory } from '../../../src/virtual/silicon/flash-memory.ts';
import { flashSizeBytes } from '../../../src/virtual/silicon/silicon.ts';
import { filled, hex, TableClock } from './rig.ts';

const K = 1024;

function rig(name: string, times: 'typical' | 'worst' = 'typical') {
  const clock = new TableClock();
  const chip = loadChip(name);
  return { clock, base: chip.flashBase, flash: new FlashMemory(chip, clock, { times }) };
}

// DS13560 and DS9826 table 2; W25Q16JV datasheet.
test.each([
  ['stm32g0b1xb', 0x0800_0000, 128, 2],
  ['stm32g0b1xe', 0x0800_0000, 512, 2],
  ['stm32f072xb', 0x0800_0000, 128, 2],
  ['rp2040', 0x1000_0000, 2048, 4],
] as const)('%s: flash from %d, %d KiB in pages of %d KiB', (name, base, kib, pageKib) => {
  const chip = loadChip(name);
  expect([chip.flashBase, flashSizeBytes(chip)]).toEqual([base, kib * K]);
  expect(chip.sectors.map(({ sizeBytes }) => sizeBytes)).toEqual(
    Array<number>((kib * K) / (pageKib * K)).fill(pageKib * K),
  );
  expect(chip.sectors.at(-1)?.address).toBe(base + kib * K - pageKib * K);
});

test('every number of a chip names its source, and an unknown chip is refused', () => {
  const plain = new Set(['name', 'family', 'sources']);
  for (const name of TOOLHEAD_CHIP_NAMES) {
    const chip = loadChip(name);
    const missing = Object.keys(chip).filter((key) => !plain.has(key) && chip.sources[key] === undefined);
    expect({ name, missing: missing.filter((key) => key !== 'flashBase') }).toEqual({ name, missing: [] });
  }
  expect(() => loadChip('stm32g071xx')).toThrow(expect.objectContaining({ code: 'bad-parameter' }));
});

test.each([
  ['stm32g0b1xb', [22, 0.68], [40, 1]],
  ['stm32f072xb', [20, 1.712], [40, 1.92]],
  // A page of 256 bytes is programmed as a whole.
  ['rp2040', [45, 0.4], [400, 3]],
] as const)(
  '%s: a page is erased and 64 bytes are programmed in %j ms, at worst %j',
  async (name, usual, slow) => {
    for (const [times, [eraseMs, programMs]] of [
      ['typical', usual],
      ['worst', slow],
    ] as const) {
      const { clock, flash, base } = rig(name, times);
      expect(await clock.run(flash.eraseSector(base + 100))).toBe('ok');
      const erased = clock.now();
      expect(await clock.run(flash.program(base, filled(64, 0)))).toBe('ok');
      expect(erased).toBeCloseTo(eraseMs, 6);
      expect(clock.now() - erased).toBeCloseTo(programMs, 6);
    }
  },
);

describe.each([
  ['stm32g0b1xb', 8],
  ['stm32f072xb', 2],
] as const)('%s programs words of %d bytes once', (name, word) => {
  test('a word that holds something is refused and kept, its neighbours are written', async () => {
    const { clock, flash, base } = rig(name);
    await clock.run(flash.program(base + word, filled(word, 0x5a)));
    expect(await clock.run(flash.program(base, filled(3 * word, 0x3c)))).toBe('not-blank');
    expect(hex(flash.peek(base, 3 * word))).toBe('3c'.repeat(word) + '5a'.repeat(word) + '3c'.repeat(word));
  });
  test('all zero is always taken, and the same content is not', async () => {
    const { clock, flash, base } = rig(name);
    await clock.run(flash.program(base, filled(word, 0x5a)));
    expect(await clock.run(flash.program(base, filled(word, 0x5a)))).toBe('not-blank');
    expect(await clock.run(flash.program(base, filled(word, 0)))).toBe('ok');
    expect(hex(flash.peek(base, word))).toBe('00'.repeat(word));
  });
  test('no part of a word', async () => {
    const { clock, flash, base } = rig(name);
    expect(await clock.run(flash.program(base + 1, filled(word, 0)))).toBe('misaligned');
    expect(await clock.run(flash.program(base, filled(word + 1, 0)))).toBe('misaligned');
  });
});

test('a write torn by a power cut is an ECC error on a G0, and just garbage elsewhere', async () => {
  for (const [name, isError] of [
    ['stm32g0b1xe', true],
    ['stm32f072xb', false],
    ['rp2040', false],
  ] as const) {
    const { clock, flash, base } = rig(name);
    const work = flash.eraseSector(base);
    flash.powerCut();
    expect(await clock.run(work)).toBe('interrupted');
    expect([name, flash.hasEccError(base, 8)]).toEqual([name, isError]);
    await clock.run(flash.eraseSector(base));
    expect(flash.hasEccError(base, 8)).toBe(false);
  }
});

test('an RP2040 clears bits only and says nothing', async () => {
  const { clock, flash, base } = rig('rp2040');
  await clock.run(flash.program(base, Uint8Array.of(0xf0)));
  expect(await clock.run(flash.program(base, Uint8Array.of(0x3c)))).toBe('ok');
  expect(hex(flash.peek(base, 1))).toBe('30');
});
