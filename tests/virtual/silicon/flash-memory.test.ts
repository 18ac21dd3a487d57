import { describe, expect, test } from '@jest/globals';
import { FlashMemory } from '../../../src/virtual/silicon/flash-memory.ts';
import { loadMcu, MCU_NAMES } from '../../../src/virtual/silicon/mcu-data.ts';
import { flashSizeBytes } from '../../../src/virtual/silicon/silicon.ts';
import { filled, hex, rig, TableClock } from './rig.ts';

const BASE = 0x08000000;
const K = 1024;

describe('the chips', () => {
  test.each([
    ['stm32f446xx', 512, [16, 16, 16, 16, 64, 128, 128, 128]],
    ['stm32f429xx', 1024, [16, 16, 16, 16, 64, 128, 128, 128, 128, 128, 128, 128]],
    ['stm32f407xx', 512, [16, 16, 16, 16, 64, 128, 128, 128]],
    // real-silicon.md section 5: the ROM claims 8*128Kg, the ZE has four.
    ['stm32h723xx', 512, [128, 128, 128, 128]],
  ] as const)('%s has %d KiB in gapless sectors', (name, kib, sizes) => {
    const mcu = loadMcu(name);
    expect(mcu.sectors.map((s) => s.sizeBytes / K)).toEqual(sizes);
    expect(flashSizeBytes(mcu)).toBe(kib * K);
    let address = BASE;
    for (const sector of mcu.sectors) {
      expect(sector.address).toBe(address);
      expect(mcu.times.eraseMsBySectorBytes[String(sector.sizeBytes)]).toBeDefined();
      address += sector.sizeBytes;
    }
  });

  test('every number of a chip names its source', () => {
    const plain = new Set(['name', 'family', 'sources', 'flashBase']);
    for (const name of MCU_NAMES) {
      const mcu = loadMcu(name);
      const missing = Object.keys(mcu).filter((key) => !plain.has(key) && mcu.sources[key] === undefined);
      expect({ name, missing }).toEqual({ name, missing: [] });
    }
  });

  test('an unknown chip is refused with the known ones', () => {
    expect(() => loadMcu('stm32f103xe')).toThrow(expect.objectContaining({ code: 'bad-parameter' }));
  });
});

describe('F4 flash', () => {
  test('a new chip is blank and an erase takes the time of table 40 x8', async () => {
    const { clock, flash } = rig('stm32f446xx');
    expect(hex(flash.peek(BASE, 4))).toBe('ffffffff');
    const times: number[] = [];
    for (const address of [BASE + 0x3fff, BASE + 0x10000, BASE + 0x20000]) {
      const before = clock.now();
      expect(await clock.run(flash.eraseSector(address))).toBe('ok');
      times.push(clock.now() - before);
    }
    expect(times).toEqual([400, 1200, 2000]);
    expect(flash.statistics.eraseMs).toBe(3600);
    expect([...flash.statistics.erases]).toEqual([
      [BASE, 1],
      [BASE + 0x10000, 1],
      [BASE + 0x20000, 1],
    ]);
  });

  test('the worst chip needs 100 us for a byte: 2048 bytes outlast the 104 ms its ROM promises', async () => {
    const { clock, flash } = rig('stm32f446xx', { times: 'worst' });
    await clock.run(flash.program(BASE, filled(2048, 0x55)));
    expect(clock.now()).toBeCloseTo(204.8);
    expect(flash.statistics.programMs).toBeCloseTo(204.8);
  });

  test('programming clears bits and never sets one, without a word', async () => {
    const { clock, flash } = rig('stm32f446xx');
    await clock.run(flash.program(BASE, Uint8Array.of(0xf0, 0xff)));
    expect(await clock.run(flash.program(BASE, Uint8Array.of(0x3c, 0xa5)))).toBe('ok');
    expect(hex(flash.peek(BASE, 2))).toBe('30a5');
    expect(flash.statistics.bitsLeftZero).toBe(2);
  });

  test('a write-protected sector is left alone, and so is everything by a mass erase', async () => {
    const { clock, flash } = rig('stm32f446xx');
    flash.load(BASE, filled(4, 0x11));
    flash.writeProtected.add(BASE);
    expect(await clock.run(flash.eraseSector(BASE + 8))).toBe('write-protected');
    expect(await clock.run(flash.program(BASE + 8, filled(1, 0)))).toBe('write-protected');
    expect(await clock.run(flash.massErase())).toBe('write-protected');
    expect(hex(flash.peek(BASE, 4))).toBe('11111111');
  });

  test('beyond the end there is nothing', async () => {
    const { clock, flash } = rig('stm32f446xx');
    expect(await clock.run(flash.eraseSector(BASE + 512 * K))).toBe('out-of-range');
    expect(await clock.run(flash.program(BASE + 512 * K - 2, filled(4, 0)))).toBe('out-of-range');
    expect(hex(flash.peek(BASE + 512 * K - 2, 2))).toBe('ffff');
    expect(() => flash.peek(BASE + 512 * K, 1)).toThrow(expect.objectContaining({ code: 'internal' }));
  });

  test('mass erase takes 16 s, leaving read protection does it too', async () => {
    const { clock, flash } = rig('stm32f446xx');
    flash.load(BASE, filled(64, 0));
    flash.readProtected = true;
    expect(await clock.run(flash.removeReadProtection())).toBe('ok');
    expect([clock.now(), flash.readProtected, flash.peek(BASE, 1)[0]]).toEqual([16_000, false, 0xff]);
  });
});

describe('H7 flash', () => {
  test('a word is written once; the second time it is garbage with a broken ECC', async () => {
    const { clock, flash } = rig('stm32h723xx');
    expect(await clock.run(flash.program(BASE, filled(64, 0xaa)))).toBe('ok');
    expect(await clock.run(flash.program(BASE + 32, filled(32, 0xaa)))).toBe('word-error');
    expect(flash.peek(BASE, 32)).toEqual(filled(32, 0xaa));
    expect(flash.peek(BASE + 32, 32)).not.toEqual(filled(32, 0xaa));
    expect([flash.hasEccError(BASE, 32), flash.hasEccError(BASE, 33)]).toEqual([false, true]);
    expect(await clock.run(flash.eraseSector(BASE))).toBe('ok');
    expect(flash.hasEccError(BASE, 128 * K)).toBe(false);
    expect(await clock.run(flash.program(BASE + 32, filled(32, 0xaa)))).toBe('ok');
  });

  test('even a blank word counts as written', async () => {
    const { clock, flash } = rig('stm32h723xx');
    await clock.run(flash.program(BASE, filled(32, 0xff)));
    expect(await clock.run(flash.program(BASE, filled(32, 0x12)))).toBe('word-error');
  });

  test('loaded content counts as written, loaded blanks do not', async () => {
    const { clock, flash } = rig('stm32h723xx');
    flash.load(BASE, filled(32, 0x77));
    flash.load(BASE + 32, filled(32, 0xff));
    expect(await clock.run(flash.program(BASE + 32, filled(32, 0x12)))).toBe('ok');
    expect(await clock.run(flash.program(BASE, filled(32, 0x12)))).toBe('word-error');
  });

  test('half a word is not written, a start inside a word writes nothing', async () => {
    const { clock, flash } = rig('stm32h723xx');
    expect(await clock.run(flash.program(BASE, filled(40, 0)))).toBe('misaligned');
    expect(hex(flash.peek(BASE + 31, 2))).toBe('00ff');
    expect(await clock.run(flash.program(BASE + 72, filled(32, 0)))).toBe('misaligned');
    expect(flash.peek(BASE + 64, 64)).toEqual(filled(64, 0xff));
  });

  test('128K take 1 s at x64 and a word 100 us', async () => {
    const { clock, flash } = rig('stm32h723xx');
    await clock.run(flash.eraseSector(BASE));
    expect(clock.now()).toBe(1000);
    await clock.run(flash.program(BASE, filled(1024, 0)));
    expect(clock.now()).toBeCloseTo(1003.2);
  });
});

describe('power cut', () => {
  test.each(['stm32f446xx', 'stm32h723xx'] as const)(
    'in an erase of %s: neither old nor blank',
    async (name) => {
      const contents = [1, 1, 2].map(async (seed) => {
        const { clock, flash } = rig(name, { seed });
        flash.load(BASE, filled(16 * K, 0x5a));
        const erase = flash.eraseSector(BASE);
        await clock.advance(50);
        expect(flash.busy).toBe(true);
        flash.powerCut();
        expect([await erase, flash.busy, clock.sleepers]).toEqual(['interrupted', false, 0]);
        expect(flash.statistics.eraseMs).toBe(50);
        expect(flash.hasEccError(BASE, 16 * K)).toBe(name === 'stm32h723xx');
        return flash.peek(BASE, 16 * K);
      });
      const [first, again, other] = await Promise.all(contents);
      expect(first).toEqual(again);
      expect(first).not.toEqual(other);
      expect(first?.includes(0x5a)).toBe(true);
      expect(first?.includes(0xff)).toBe(true);
    },
  );

  test('in a program: what was done stays, the byte under way is torn, the rest is untouched', async () => {
    const { clock, flash } = rig('stm32f446xx');
    const write = flash.program(BASE, filled(1000, 0x00));
    await clock.advance(8.008); // 500.5 bytes at 16 us
    flash.powerCut();
    expect(await write).toBe('interrupted');
    expect(flash.peek(BASE, 500)).toEqual(filled(500, 0));
    expect(flash.peek(BASE + 501, 499)).toEqual(filled(499, 0xff));
    expect(flash.statistics.bytesProgrammed).toBe(500);
  });

  test('in a mass erase: a sector after the other', async () => {
    const { clock, flash } = rig('stm32f446xx');
    for (const sector of flash.mcu.sectors) flash.load(sector.address, filled(64, 0x5a));
    const erase = flash.massErase();
    await clock.advance(9000); // 4.5 of 8 sectors
    flash.powerCut();
    expect(await erase).toBe('interrupted');
    const firsts = flash.mcu.sectors.map((s) => flash.peek(s.address, 64));
    expect(firsts.slice(0, 4)).toEqual(Array.from({ length: 4 }, () => filled(64, 0xff)));
    expect(firsts[4]).not.toEqual(filled(64, 0xff));
    expect(firsts.slice(5)).toEqual(Array.from({ length: 3 }, () => filled(64, 0x5a)));
  });

  test('without work under way it changes nothing', () => {
    const { flash } = rig('stm32f446xx');
    flash.powerCut();
    expect(flash.peek(BASE, 1)[0]).toBe(0xff);
  });

  test('with no times it can still fall in the middle', async () => {
    const { flash } = rig('stm32f446xx', { times: 'zero' });
    flash.load(BASE, filled(16 * K, 0x5a));
    const erase = flash.eraseSector(BASE);
    flash.powerCut();
    expect(await erase).toBe('interrupted');
    expect(flash.peek(BASE, 16 * K)).not.toEqual(filled(16 * K, 0xff));
  });
});

test('one thing at a time', async () => {
  const { clock, flash } = rig('stm32f446xx');
  const erase = flash.eraseSector(BASE);
  expect(await flash.program(BASE, filled(1, 0))).toBe('busy');
  expect(await clock.run(erase)).toBe('ok');
});

test('listeners hear each change with its new content, until they leave', async () => {
  const clock = new TableClock();
  const flash = new FlashMemory(loadMcu('stm32f446xx'), clock);
  const heard: string[] = [];
  const leave = flash.onChange((address, bytes) =>
    heard.push(`${address - BASE}:${bytes.length}:${bytes[0]}`),
  );
  flash.load(BASE + 4, filled(4, 0x10));
  await clock.run(flash.program(BASE + 4, filled(2, 0x30)));
  await clock.run(flash.eraseSector(BASE));
  leave();
  flash.load(BASE, filled(1, 0));
  expect(heard).toEqual(['4:4:16', '4:2:16', '0:16384:255']);
});
