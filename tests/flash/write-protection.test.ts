// A sector that cannot be written: found by the option bytes before anything is erased, or by looks at what was erased; the
// board keeps, or gets back, the firmware that it had.
import { describe, expect, test } from '@jest/globals';
import { recall } from '../../src/flash/board-memory.ts';
import { protectedIn } from '../../src/flash/protection.ts';
import { readReplacement } from '../../src/flash/replacement.ts';
import { restore } from '../../src/flash/restore.ts';
import { takeBackup } from '../../src/flash/take-backup.ts';
import { unchangedIn } from '../../src/flash/watchful-write.ts';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import { boardByName, boardNames, romOf } from '../../src/boards/boards.ts';
import { OLD_KLIPPER } from '../../src/virtual/forge.ts';
import type { RomSettings } from '../../src/virtual/silicon/rom-settings.ts';
import {
  expectSafe,
  failureOf,
  flashBytes,
  klipperFor,
  setUp,
  TWO_BOARDS,
  type TestBench,
} from '../support/bench.ts';
import { setUpKnown } from '../support/walks.ts';
import { erasesOf, expectUntouched, wholeFlash } from '../support/untouched.ts';

const F446 = TWO_BOARDS[0];
const H723 = TWO_BOARDS[1];
const APPLICATION = 0x0800_8000;
/** Of an F446, in which a Klipper of 43 to 46 KiB lies behind a bootloader. */
const SECTORS = { first: APPLICATION, middle: 0x0800_c000, last: 0x0801_0000 };

const NOBODY_TELLS: Partial<RomSettings> = { otherAlts: 'refused', flashErrors: 'silent' };
/** The three ways in which a ROM may fare with it: its option bytes, errors of its own, or nothing at all. */
const ROMS: Record<string, Partial<RomSettings>> = {
  'its option bytes tell': { otherAlts: 'readable' },
  'the ROM reports it': { otherAlts: 'refused', flashErrors: 'reported' },
  'nobody tells': NOBODY_TELLS,
};

/**
 * Nobody may ever find an application that begins and does not go on: whenever the flash changes, the old one is whole or
 * its first word is blank.
 */
function watchForTornFirmware({ bench, place }: TestBench): () => void {
  const { applicationAddress } = place.board;
  const old = Buffer.from(bench.flash.peek(applicationAddress, 0x1_8000));
  const torn: string[] = [];
  const unsubscribe = bench.flash.onChange((address) => {
    const isOld = old.equals(bench.flash.peek(applicationAddress, 0x1_8000));
    const begins = bench.flash.peek(applicationAddress, 4).some((byte) => byte !== 0xff);
    if (begins && !isOld) torn.push(`0x${address.toString(16)}`);
  });
  return () => {
    unsubscribe();
    expect(torn).toEqual([]);
  };
}

async function expectKept(rig: TestBench, work: () => Promise<unknown>) {
  const before = wholeFlash(rig);
  const failure = await failureOf(work());
  expect(failure.code).toBe('write-protected');
  expect(failure.onBoard).toMatch(/old firmware is whole/);
  expect(failure.advice).toMatch(/STM32CubeProgrammer/);
  expect(wholeFlash(rig).equals(before)).toBe(true);
  expectSafe(rig);
  await rig.bench.settle();
  expect(rig.bench.board.klipper?.version).toBe(OLD_KLIPPER);
  // Nothing is left to be finished by the next start.
  expect(await readReplacement(rig.kit, rig.place.board.name)).toBeUndefined();
  return failure;
}

describe.each(Object.entries(ROMS))('%s', (name, rom) => {
  const isTold = name === 'its option bytes tell';

  test.each(Object.entries(SECTORS))('F446, the %s sector of the application', async (_which, address) => {
    const rig = await setUp({ board: F446, rom });
    rig.bench.flash.writeProtected.add(address);
    const expectNeverTorn = watchForTornFirmware(rig);
    const failure = await expectKept(rig, () => flashBytes(rig, klipperFor(rig)));
    expect(failure.place).toBe(`0x${address.toString(16).padStart(8, '0')}`);
    expectNeverTorn();
    const isUnerased = isTold || address === SECTORS.first;
    expect(erasesOf(rig) === 0).toBe(isUnerased);
    expect(rig.steps.some(({ kind }) => kind === 'erase')).toBe(!isTold);
    // Without the protection the same flash ends well.
    rig.bench.flash.writeProtected.clear();
    expect(await flashBytes(rig, klipperFor(rig))).toMatchObject({ state: 'done', printer: 'ready' });
    rig.bench.dispose();
  });

  test('F446, several: all are named', async () => {
    const rig = await setUp({ board: F446, rom });
    for (const address of [SECTORS.middle, SECTORS.last]) rig.bench.flash.writeProtected.add(address);
    const { place } = await expectKept(rig, () => flashBytes(rig, klipperFor(rig)));
    // A ROM that reports them ends at the first.
    expect(place).toBe(name === 'the ROM reports it' ? '0x0800c000' : '0x0800c000, 0x08010000');
    rig.bench.dispose();
  });

  test('H723, the one sector of the application', async () => {
    const rig = await setUp({ board: H723, rom });
    rig.bench.flash.writeProtected.add(0x0802_0000);
    const failure = await expectKept(rig, () => flashBytes(rig, klipperFor(rig)));
    expect(failure.place).toBe('0x08020000');
    rig.bench.dispose();
  });

  test.each([F446, H723])(
    '%s, a restore of the whole flash: a protected bootloader stays with its application',
    async (board) => {
      const rig = await setUp({ board, rom });
      const { kit, place } = rig;
      const confirm = ['cold', 'still'] as const;
      await flashBytes(rig, klipperFor(rig, { version: 'v0.13.0-1' }));
      const { backup } = await takeBackup(kit, { place, confirm }, () => {});
      await flashBytes(rig, klipperFor(rig, { version: OLD_KLIPPER, seed: 5 }));
      rig.bench.flash.writeProtected.add(place.board.mcu.flashBase);
      const failure = await expectKept(rig, () =>
        restore(kit, { place, confirm, backup: backup.id }, () => {}),
      );
      expect(failure.place).toBe('0x08000000');
      rig.bench.dispose();
    },
  );

  test('a protected sector that is not needed hinders nothing', async () => {
    const rig = await setUp({ board: F446, rom });
    rig.bench.flash.writeProtected.add(0x0800_0000).add(0x0806_0000);
    expect(await flashBytes(rig, klipperFor(rig))).toMatchObject({ state: 'done', verified: true });
    rig.bench.dispose();
  });
});

test('a blank sector shows nothing when it is erased: found by the read-back, and the others get back what they held', async () => {
  const rig = await setUp({ board: F446, rom: NOBODY_TELLS });
  const blank = 0x0802_0000;
  await rig.bench.flash.eraseSector(blank);
  rig.bench.flash.writeProtected.add(blank);
  const large = klipperFor(rig, { sizeBytes: 0x1_a000 });
  expect((await expectKept(rig, () => flashBytes(rig, large))).place).toBe('0x08020000');
  rig.bench.dispose();
});

test('the state of the bench that has one: nothing of it is erased for good', async () => {
  for (const board of TWO_BOARDS) {
    const rig = await setUp({ board, state: 'write-protected' });
    await expectKept(rig, () => flashBytes(rig, klipperFor(rig)));
    rig.bench.dispose();
  }
});

test('the power goes while the old firmware is put back: nothing looks whole, and the next flash says the same', async () => {
  const rig = await setUp({ board: F446, rom: NOBODY_TELLS });
  rig.bench.flash.writeProtected.add(SECTORS.middle);
  const expectNeverTorn = watchForTornFirmware(rig);
  let writes = 0;
  rig.bench.faults.beforeTransfer = (_n, { bRequest, wValue }) => {
    if (bRequest === 1 && wValue >= 2 && ++writes === 4) rig.bench.powerCut();
    return undefined;
  };
  const failure = await failureOf(flashBytes(rig, klipperFor(rig)));
  expect(failure.onBoard).toMatch(/half-written.*backup/);
  expectNeverTorn();
  rig.bench.faults.beforeTransfer = undefined;
  rig.bench.powerOn();
  const again = await failureOf(flashBytes(rig, klipperFor(rig)));
  expect(again).toMatchObject({ code: 'write-protected', onBoard: expect.not.stringContaining('whole') });
  // That the board does not run is not forgotten.
  expect(await readReplacement(rig.kit, F446)).toBeDefined();
  expectSafe(rig);
  rig.bench.dispose();
});

describe('through Katapult', () => {
  const known = (options: BenchOptions = {}) => setUpKnown({ board: F446, state: 'katapult', ...options });

  test.each(Object.entries(SECTORS))(
    'the %s page: the old application is there again',
    async (_which, address) => {
      const rig = await known();
      const before = wholeFlash(rig);
      rig.bench.flash.writeProtected.add(address);
      const failure = await failureOf(flashBytes(rig, klipperFor(rig)));
      expect(failure).toMatchObject({
        code: 'verify-failed',
        advice: expect.stringContaining('write-protected'),
      });
      expect(failure.onBoard).toMatch(/old firmware is whole/);
      expect(wholeFlash(rig).equals(before)).toBe(true);
      await rig.bench.settle();
      expect(rig.bench.board.klipper?.version).toBe(OLD_KLIPPER);
      expectSafe(rig);
      rig.bench.dispose();
    },
  );
});

describe('option bytes that hang', () => {
  test.each(TWO_BOARDS)('%s: asked twice, never again, and every flash ends well', async (board) => {
    const rig = await setUp({ board, rom: { otherAlts: 'hang' } });
    const first = await flashBytes(rig, klipperFor(rig, { version: 'v0.13.0-1' }));
    expect(first).toMatchObject({ state: 'done', verified: true });
    expect(first.notes.filter((note) => note.includes('reset and asked again'))).toHaveLength(2);
    expect((await recall(rig.kit, board)).optionBytesHangs).toBe(2);
    const second = await flashBytes(rig, klipperFor(rig, { version: 'v0.13.0-2', seed: 2 }));
    expect(second.notes.filter((note) => note.includes('asked again'))).toEqual([]);
    expectSafe(rig);
    rig.bench.dispose();
  });
});

describe('what option bytes say', () => {
  const of = (board: string) => boardByName(board).mcu;
  const bytesOf = (sizeBytes: number, words: Record<number, number>) => {
    const bytes = new Uint8Array(sizeBytes).fill(0xff);
    for (const [at, word] of Object.entries(words))
      new DataView(bytes.buffer).setUint16(Number(at), word, true);
    return bytes;
  };
  const F4_OPEN = 0xaaef; // RM0090 table 16: RDP 0xAA, USER with everything off

  // RM0090 tables 16 and 17, RM0468 4.9.15: a bit that is 0 protects its sector, the lowest the first.
  test.each<[string, number, Record<number, number>, number[] | undefined]>([
    ['octopus-v1.1-f446', 16, { 0: F4_OPEN, 8: 0x7fff }, []],
    ['octopus-v1.1-f446', 16, { 0: F4_OPEN, 8: 0x7ffa }, [0x0800_0000, 0x0800_8000]],
    ['octopus-v1.1-f407', 16, { 0: F4_OPEN, 8: 0xffff }, []],
    ['octopus-v1.1-f407', 16, { 0: F4_OPEN, 8: 0xff7f }, [0x0806_0000]],
    ['octopus-v1.1-f429', 16, { 0: F4_OPEN, 8: 0x37ff }, [0x080e_0000]],
    ['octopus-pro-h723', 88, { 0: 0xaaf0, 28: 0x00fb }, [0x0804_0000]],
    // With SPRMOD they mean the reverse; and what is no RDP of a chip that can be read is not believed.
    ['octopus-v1.1-f446', 16, { 0: F4_OPEN, 8: 0xffff }, undefined],
    ['octopus-v1.1-f429', 16, { 0: F4_OPEN, 8: 0xbfff }, undefined],
    ['octopus-v1.1-f446', 16, { 0: 0xffff, 8: 0x0000 }, undefined],
    ['octopus-v1.1-f446', 16, { 0: 0x0000, 8: 0x0000 }, undefined],
    ['octopus-pro-h723', 88, { 0: 0x00aa, 28: 0x0000 }, undefined],
  ])('%s, %d bytes, %j', (board, sizeBytes, words, expected) => {
    const mcu = of(board);
    const { optionBytes } = romOf(mcu);
    expect(optionBytes.sizeBytes).toBe(sizeBytes);
    const found = protectedIn(mcu.sectors, optionBytes, bytesOf(sizeBytes, words));
    expect(found?.map(({ address }) => address)).toEqual(expected);
  });

  test.each(boardNames())('%s: they are read where and as the virtual board has them', async (board) => {
    const rig = await setUp({ board, rom: { otherAlts: 'readable' } });
    rig.bench.flash.writeProtected.add(rig.place.board.applicationAddress);
    const { code, message } = await failureOf(flashBytes(rig, klipperFor(rig)));
    expect([code, message]).toEqual(['write-protected', expect.stringContaining('option bytes')]);
    expect(erasesOf(rig)).toBe(0);
    rig.bench.dispose();
  });
});

test('a sector that was to hold what it held is not to blame', () => {
  const sectors = [0, 1, 2].map((index) => ({ address: APPLICATION + 16 * index, sizeBytes: 16 }));
  const image = (...bytes: number[]) => ({
    address: APPLICATION,
    bytes: Uint8Array.from(bytes.flatMap((byte) => Array.from({ length: 16 }, () => byte))),
  });
  // The first is rewritten with every other; the second keeps what it held; the third holds something else.
  const found = unchangedIn(
    { erase: sectors, write: [] },
    image(1, 2, 3),
    image(1, 5, 6),
    image(1, 2, 9).bytes,
  );
  expect(found).toEqual([sectors[1]]);
});

test('what the option bytes forbid is refused before anything is touched', async () => {
  const rig = await setUp({ rom: { otherAlts: 'readable' } });
  rig.bench.flash.writeProtected.add(SECTORS.middle);
  const expected = { code: 'write-protected', place: /^0x0800c000$/, visited: true };
  await expectUntouched(rig, () => flashBytes(rig, klipperFor(rig)), expected);
  rig.bench.dispose();
});
