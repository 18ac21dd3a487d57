// What the jobs of one board leave on the disk, as they write it.
import { createHash } from 'node:crypto';
import { inspect } from '../../src/firmware/inspect.ts';
import { klipper } from '../firmware/build-image.ts';
import type { Json } from './json.ts';

export type Kept = 'journal' | 'replacement' | 'backup' | 'memory' | 'lines';

export const BOARD = 'octopus-v1.1-f446';
const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
export const IMAGE = klipper();
/** A piece of flash. */
export const COPY = klipper({ version: 'v0.12.0-85-gd785b396' });
const COPY_ID = 'a1b2c3d4e5f6';
const CHIP = '320031001251353333383938';
const APPLICATION = 0x0800_8000;

export const KEYS: Readonly<Record<Kept | 'image' | 'copy', string>> = {
  journal: `journal/${BOARD}.json`,
  replacement: `replacements/${BOARD}.json`,
  image: `replacements/${BOARD}.${hash(IMAGE).slice(0, 12)}.bin`,
  backup: `backups/${BOARD}/${COPY_ID}.json`,
  copy: `backups/${BOARD}/${COPY_ID}.bin`,
  memory: `boards/${BOARD}.json`,
  lines: 'lines.json',
};

export const RECORDS: Readonly<Record<Kept, Json & object>> = {
  journal: {
    job: '0b3e4a52-8a0b-4a53-9a53-1d1f1c0b2a10',
    method: 'octopus.flash',
    board: BOARD,
    startedAt: '2026-01-01T00:00:00.000Z',
    endedAs: null,
    steps: [
      { atMs: 12, kind: 'stop-klipper' },
      { atMs: 900, kind: 'power', device: 'psu', state: 'off' },
      { atMs: 950, kind: 'enter' },
      { atMs: 951, kind: 'lines', levels: { boot0: 'high', nrst: 'low' } },
      { atMs: 3000, kind: 'erase', address: APPLICATION, sizeBytes: 0x4000 },
      { atMs: 3500, kind: 'write', address: APPLICATION, sizeBytes: IMAGE.length },
      { atMs: 5000, kind: 'boot' },
    ],
  },
  replacement: {
    startedAt: '2026-01-01T00:00:03.000Z',
    chipUid: CHIP,
    address: APPLICATION,
    sizeBytes: IMAGE.length,
    sha256: hash(IMAGE),
    passport: JSON.parse(JSON.stringify(inspect(IMAGE, 'klipper.bin'))) as Json,
    replaceBootloader: false,
    force: [],
    before: COPY_ID,
  },
  backup: {
    id: COPY_ID,
    board: BOARD,
    date: '2026-01-01T00:00:02.000Z',
    what: 'region',
    address: APPLICATION,
    sizeBytes: COPY.length,
    sha256: hash(COPY),
    chipUid: CHIP,
    mcu: 'stm32f446xx',
    busPath: '1-1.4',
    bootloader: 'stock bootloader',
    application: 'Klipper v0.12.0-85-gd785b396',
  },
  memory: {
    busPath: '1-1.4',
    romAppearsMs: 612,
    applicationAppearsMs: 1402,
    resetHoldMs: 100,
    doubleResetGapMs: 250,
    bootloader: 'other',
    chipUid: CHIP,
    chipUidFrom: 'rom',
    lastFlash: {
      date: '2026-01-01T00:00:00.000Z',
      version: 'v0.13.0',
      sha256: hash(IMAGE),
      linkAddress: APPLICATION,
      kind: 'klipper',
      tookMs: 9000,
      backup: COPY_ID,
    },
    lastGood: { backup: COPY_ID, withBootloader: false },
  },
  lines: { lines: { [BOARD]: { boot0: 'gpio26', nrst: 'gpio19' } } },
};
