// What an H723 is known for: less flash than it claims, which its size register tells or a refused address; and a read that
// spoils the next write.
import { describe, expect, test } from '@jest/globals';
import { listBackups, readBackup } from '../../src/flash/backup.ts';
import { restore } from '../../src/flash/restore.ts';
import { takeBackup } from '../../src/flash/take-backup.ts';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import { OLD_KLIPPER } from '../../src/virtual/forge.ts';
import {
  expectSafe,
  failureOf,
  flashBytes,
  klipperFor,
  setUp,
  TWO_BOARDS,
  type TestBench,
} from '../support/bench.ts';
import { erasesOf, expectUntouched } from '../support/untouched.ts';

const KIB = 1024;
const BASE = 0x0800_0000;
const H723 = TWO_BOARDS[1];
const confirm = ['cold', 'still'] as const;
const backUp = ({ kit, place }: TestBench) => takeBackup(kit, { place, confirm }, () => {});
/** 512 KiB by name, 1 MiB by its ROM's string, and half of that in truth. */
const smaller = (options: BenchOptions = {}) => setUp({ board: H723, flashKib: 256, ...options });

describe('a chip with 256 KiB that is taken for one with 512', () => {
  test.each<[string, BenchOptions['rom'], boolean]>([
    ['refuses what lies behind its end', { systemInfo: 'refused', uploadPastEnd: 'stall' }, true],
    ['says so in its size register', { systemInfo: 'readable' }, false],
  ])('%s: the copy ends there, and a flash goes on', async (_how, rom, isNoted) => {
    const rig = await smaller({ rom: rom ?? {} });
    const old = rig.bench.flash.peek(BASE, 256 * KIB);
    const { record, notes } = await backUp(rig);
    expect(record).toMatchObject({
      what: 'whole',
      sizeBytes: 256 * KIB,
      application: `klipper ${OLD_KLIPPER}`,
    });
    expect(notes.some((note) => note.includes('from 0x08040000 on: its flash ends there'))).toBe(isNoted);
    expect((await readBackup(rig.kit, H723, record.id)).bytes).toEqual(old);
    const result = await flashBytes(rig, klipperFor(rig));
    expect(result).toMatchObject({ state: 'done', verified: true, printer: 'ready' });
    const order = { place: rig.place, confirm, backup: record.id };
    expect(await restore(rig.kit, order, () => {})).toMatchObject({ state: 'done', version: OLD_KLIPPER });
    expect(rig.bench.flash.peek(BASE, 256 * KIB)).toEqual(old);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('first contact is the flash itself', async () => {
    const rig = await smaller();
    const result = await flashBytes(rig, klipperFor(rig));
    expect(result).toMatchObject({ state: 'done', backup: { what: 'whole', alreadyKept: false } });
    const [record] = await listBackups(rig.kit, H723);
    expect(record?.sizeBytes).toBe(256 * KIB);
    rig.bench.dispose();
  });

  test.each<BenchOptions['rom']>([{ systemInfo: 'refused' }, { systemInfo: 'readable' }])(
    'an image that would end behind it is refused (%j)',
    async (rom) => {
      const rig = await smaller({ rom: rom ?? {} });
      const work = () => flashBytes(rig, klipperFor(rig, { sizeBytes: 200 * KIB }));
      const expected = { code: 'image-overruns-flash', place: /^0x08040000$/, visited: true };
      await expectUntouched(rig, work, expected);
      rig.bench.dispose();
    },
  );
});

test.each(TWO_BOARDS)('%s: one refused block is not the end of the flash', async (board) => {
  const rig = await setUp({ board });
  let uploads = 0;
  rig.bench.faults.beforeTransfer = (_n, { bRequest, wLength }) =>
    bRequest === 2 && wLength >= KIB && ++uploads === 100 ? 'stall' : undefined;
  expect(await failureOf(backUp(rig))).toMatchObject({ code: 'dfu-status' });
  expect(uploads).toBeGreaterThan(100);
  expect(await listBackups(rig.kit, board)).toEqual([]);
  rig.bench.faults.beforeTransfer = undefined;
  expect((await backUp(rig)).record.sizeBytes).toBe(512 * KIB);
  rig.bench.dispose();
});

describe('a read before a write', () => {
  const APPLICATION = 0x0802_0000;
  const isBlank = (bytes: Uint8Array) => bytes.every((byte) => byte === 0xff);

  /** What the first 32 bytes of the first written block held when everything was written, each time before it is read. */
  async function flashIt(readBeforeWrite: 'lasting' | 'healed-by-erase' | 'off') {
    const rig = await setUp({ board: H723, rom: { readBeforeWrite } });
    const image = klipperFor(rig);
    const spoilt: boolean[] = [];
    let hasWritten = false;
    rig.bench.faults.beforeTransfer = (_n, { bRequest, wValue }) => {
      if (bRequest === 1 && wValue >= 2) hasWritten = true;
      // The read-back begins.
      if (bRequest === 2 && hasWritten) {
        hasWritten = false;
        spoilt.push(isBlank(rig.bench.flash.peek(APPLICATION + KIB, 32)));
      }
      return undefined;
    };
    const result = await flashBytes(rig, image);
    const after = rig.bench.flash.peek(APPLICATION, image.length);
    const erases = erasesOf(rig);
    rig.bench.dispose();
    return { spoilt, result, erases, isRight: Buffer.from(after).equals(image) };
  }

  test('lasting: the sector is erased and written once more, twice, and then it is right', async () => {
    const { spoilt, result, erases, isRight } = await flashIt('lasting');
    expect(spoilt).toEqual([true, false]);
    expect(erases).toBe(3);
    expect(result).toMatchObject({ state: 'done', verified: true });
    expect(result.notes.some((note) => note.includes('erased and written once more'))).toBe(true);
    expect(isRight).toBe(true);
  });

  test.each(['healed-by-erase', 'off'] as const)('%s: right at once', async (reading) => {
    const { spoilt, result, erases, isRight } = await flashIt(reading);
    expect([spoilt, erases, result.verified, isRight]).toEqual([[false], 1, true, true]);
  });
});
