// The product's boards and the virtual ones are written apart; this is the only place where both are read.
import { describe, expect, test } from '@jest/globals';
import { boardByName, boardNames, flashSizeBytes } from '../../src/boards/boards.ts';
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

test('an unknown board is refused with the names that exist', () => {
  expect(() => boardByName('octopus-v1.1-f466')).toThrow(
    expect.objectContaining({ code: 'unknown-board', advice: expect.stringContaining('octopus-v1.1-f446') }),
  );
});
