// The product's boards and the virtual ones are written apart; this is the only place where both are read.
import { describe, expect, test } from '@jest/globals';
import { boardByName, boardNames, flashSizeBytes, romOf, toolheadNames } from '../../src/boards/boards.ts';
import { loadVirtualBoard, virtualBoardNames } from '../../src/virtual/board-data.ts';
import { loadMcu } from '../../src/virtual/silicon/mcu-data.ts';
import { flashBytes, klipperFor, setUp, expectSafe } from '../support/bench.ts';

test('both know the same boards', () => {
  expect([...boardNames()].sort()).toEqual([...virtualBoardNames()].sort());
});

describe.each(boardNames())('%s', (name) => {
  test('chip, crystal, sectors and offset agree', () => {
    const ours = boardByName(name);
    const theirs = loadVirtualBoard(name);
    const silicon = loadMcu(theirs.mcu);
    expect(theirs).toMatchObject({ mcu: ours.mcu.name, crystalHz: ours.crystalHz });
    expect(silicon.sectors.map(({ address, sizeBytes }) => ({ address, sizeBytes }))).toEqual(
      ours.mcu.sectors,
    );
    expect(flashSizeBytes(ours.mcu)).toBe(silicon.sectors.reduce((sum, sector) => sum + sector.sizeBytes, 0));
  });

  test('is flashed from end to end, and again: nothing to do', async () => {
    const rig = await setUp({ board: name });
    const image = klipperFor(rig);
    const first = await flashBytes(rig, image);
    expect(first).toMatchObject({
      state: 'done',
      verified: true,
      previousVersion: 'v0.12.0-85-gd785b396',
      version: 'v0.13.0-1-gabcdef0',
      printer: 'ready',
    });
    expect(first.bytesWritten).toBeGreaterThanOrEqual(image.length);
    expect(first.sectorsErased).toBeGreaterThan(0);
    expect(first.bootloader).toBe('stock bootloader');
    expect(first.backup).toMatchObject({ what: 'whole', alreadyKept: false });
    const again = await flashBytes(rig, image);
    expect(again).toMatchObject({
      state: 'done',
      verified: true,
      bytesWritten: 0,
      sectorsErased: 0,
      previousVersion: 'v0.13.0-1-gabcdef0',
      backup: null,
    });
    expectSafe(rig);
    rig.bench.dispose();
  });
});

describe('what routes need to know', () => {
  test.each(boardNames())('%s: all ways in, but no jump into the ROM of an F429', (name) => {
    const { kind, mcu, routes } = boardByName(name);
    expect(kind).toBe('mainboard');
    expect(routes).toEqual(['touch-1200', 'can-request', 'double-reset', 'boot0-nrst', 'by-hand']);
    // facts 3 b: OCTOPUS-Pro#3 and Klipper pull request 5703 for the F429, pull request 5936 for the H723.
    expect(mcu.romBySoftware).toBe(mcu.name !== 'stm32f429xx');
    expect(romOf(mcu).maps).not.toHaveLength(0);
  });
});

describe('toolheads', () => {
  // Katapult's LAUNCH_APP_ADDRESS by chip (src/stm32/Kconfig, src/rp2040/Kconfig), pages of RM0444, RM0091, RP2040 datasheet.
  const CHIPS = {
    stm32g0b1xx: { launch: 0x08002000, pageBytes: 2048, flashKib: 128 },
    stm32f072xb: { launch: 0x08002000, pageBytes: 2048, flashKib: 64 },
    rp2040: { launch: 0x10004000, pageBytes: 4096, flashKib: 2048 },
  };

  test.each(toolheadNames())('%s', (name) => {
    const { kind, mcu, applicationAddress, routes, source } = boardByName(name);
    const chip = CHIPS[mcu.name as keyof typeof CHIPS];
    expect(kind).toBe('toolhead');
    expect(applicationAddress).toBe(chip.launch);
    expect(new Set(mcu.sectors.map(({ sizeBytes }) => sizeBytes))).toEqual(new Set([chip.pageBytes]));
    expect(mcu.sectors[0]?.address).toBe(mcu.flashBase);
    expect(mcu.sectors.some(({ address }) => address === applicationAddress)).toBe(true);
    expect(flashSizeBytes(mcu)).toBe(chip.flashKib * 1024);
    expect(mcu.eraseMs.map(({ sizeKib }) => sizeKib * 1024)).toEqual([chip.pageBytes]);
    expect(routes).toEqual(['can-request', 'by-hand']);
    expect(source).not.toBe('');
  });

  test.each([
    ['btt-ebb36-v1.0', 'stm32f072xb'],
    ['btt-ebb42-v1.1', 'stm32g0b1xx'],
    ['btt-ebb42-v1.2', 'stm32g0b1xx'],
    ['btt-sb2209', 'stm32g0b1xx'],
    ['btt-sb2209-rp2040', 'rp2040'],
    ['mellow-fly-sht42-v1', 'stm32f072xb'],
    ['mellow-fly-sht36-v3', 'rp2040'],
  ])('%s has an %s', (name, mcu) => {
    expect(boardByName(name).mcu.name).toBe(mcu);
  });

  test('the heater of an EBB v1.1 is driven by its ROM, that of a v1.2 is not (BTT EBB README)', () => {
    expect(boardByName('btt-ebb36-v1.1').heatersDrivenByRom).toEqual(['E0 (PA2)']);
    expect(boardByName('btt-ebb36-v1.2').heatersDrivenByRom).toEqual([]);
  });

  test('DFU on a chip whose ROM is not known is refused', () => {
    expect(() => romOf(boardByName('btt-ebb36-v1.2').mcu)).toThrow(
      expect.objectContaining({ code: 'wrong-mcu', advice: expect.stringContaining('Katapult') }),
    );
  });
});

test('an unknown board is refused with the names that exist', () => {
  expect(() => boardByName('octopus-v1.1-f466')).toThrow(
    expect.objectContaining({ code: 'unknown-board', advice: expect.stringContaining('octopus-v1.1-f446') }),
  );
});
