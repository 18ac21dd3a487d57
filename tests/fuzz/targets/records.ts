// Fuzz: what a board's jobs have left on the disk, cut off and spoilt: the journal, what is being replaced, the copies, what was
// learnt, the known lines. Each is read as what it was or not at all; nothing is done to another board by a wrong letter.
import { knownLines } from '../../../src/compose/known-lines.ts';
import { listBackups, readBackup, type BackupRecord } from '../../../src/flash/backup.ts';
import { appearTimeoutMs, recall } from '../../../src/flash/board-memory.ts';
import { readImageOf, readReplacement } from '../../../src/flash/replacement.ts';
import {
  lastJob,
  leftInBootloader,
  leftKlipperStopped,
  leftPowerOff,
  noteKlipperStarted,
  noteLinesFloated,
  noteSettled,
} from '../../../src/jobs/journal.ts';
import { VirtualClock } from '../../../src/virtual/clock.ts';
import { MemoryStore } from '../../../src/virtual/store.ts';
import { mutateBytes, sameBytes } from '../bytes.ts';
import { mutateJson, mutateJsonText, type Json } from '../json.ts';
import { BOARD, COPY, IMAGE, KEYS, RECORDS, type Kept } from '../kept.ts';
import type { Random } from '../random.ts';
import { holds, refusalCode, target, type Fate } from '../target.ts';

interface File {
  readonly kept: Kept;
  readonly bytes: Uint8Array;
  /** It ends before its JSON does: a torn write. */
  readonly isCut: boolean;
}

const clock = new VirtualClock();

export const records = target<File>({
  name: 'records',
  show: ({ bytes }) => bytes,
  input: (random) => {
    const kept = random.pick(Object.keys(RECORDS) as Kept[]);
    const whole = Buffer.from(`${JSON.stringify(RECORDS[kept], null, random.pick([0, 2]))}\n`);
    if (random.oneIn(6))
      return { kept, bytes: whole.subarray(0, random.below(whole.length - 1)), isCut: true };
    return { kept, bytes: spoilt(random, RECORDS[kept], whole), isCut: false };
  },
  check: async ({ kept, bytes, isCut }): Promise<Fate> => {
    const store = new MemoryStore(clock);
    await store.write(KEYS[kept], bytes);
    const before = new Set(await store.list(''));
    const fate = await CHECKS[kept](store);
    holds(!isCut || fate.endsWith('unread'), `a ${kept} that is cut off is read`);
    for (const key of await store.list('')) holds(before.has(key), `${key} was made of it`);
    return fate;
  },
  fates: [
    'journal read',
    'journal unread',
    'replacement read',
    'replacement unread',
    'backup read',
    'backup unread',
    'memory read',
    'memory unread',
    'lines read',
    'lines unread',
  ],
});

export function spoilt(random: Random, record: Json, whole: Uint8Array): Uint8Array {
  switch (random.below(4)) {
    case 0:
      return mutateBytes(random, whole, { most: 3 });
    case 1:
      return Buffer.from(mutateJsonText(random, record));
    case 2:
      // What an SD card makes of a sector: other bytes up to its end.
      return whole.map((byte, at) => (at >= whole.length - random.below(whole.length) ? 0 : byte));
    default:
      return Buffer.from(JSON.stringify(mutateJson(random, record)));
  }
}

const CHECKS: Readonly<Record<Kept, (store: MemoryStore) => Promise<Fate>>> = {
  journal: async (store) => {
    const pages = await lastJob({ store }, BOARD);
    if (pages === undefined) return 'journal unread';
    holds(pages.board === BOARD, `the journal of ${pages.board}`);
    leftInBootloader(pages);
    leftPowerOff(pages);
    leftKlipperStopped(pages);
    await noteLinesFloated({ store }, pages);
    await noteSettled({ store }, pages);
    await noteKlipperStarted({ store }, BOARD);
    const after = await lastJob({ store }, BOARD);
    holds(
      after !== undefined && JSON.stringify(after.steps) === JSON.stringify(pages.steps),
      'a note has changed the steps',
    );
    holds(!leftKlipperStopped(after) && !leftInBootloader(after), 'what was noted is not noted');
    return 'journal read';
  },
  replacement: async (store) => {
    const read = await readReplacement({ store }, BOARD);
    if (read === undefined) return 'replacement unread';
    // What is written and where, without a look at the rules again: it is what it was, to the letter.
    const kept = RECORDS.replacement as unknown as typeof read;
    const { address, sizeBytes, sha256, before, chipUid, force, passport } = kept;
    holds(
      read.address === address && read.sizeBytes === sizeBytes && read.sha256 === sha256,
      'another image, or another place',
    );
    holds(read.before === before && read.chipUid === chipUid, 'another copy, or another chip');
    holds(
      JSON.stringify([read.force, read.passport]) === JSON.stringify([force, passport]),
      'another passport',
    );
    holds(!Number.isNaN(Date.parse(read.startedAt)), `begun at ${read.startedAt}`);
    await store.write(KEYS.image, IMAGE);
    holds(sameBytes(await readImageOf({ store }, BOARD, read), IMAGE), 'its image is another');
    await store.remove(KEYS.image);
    return 'replacement read';
  },
  backup: async (store) => {
    await store.write(KEYS.copy, COPY);
    const fate = await checkCopy(store);
    await store.remove(KEYS.copy);
    return fate;
  },
  memory: async (store) => {
    const memory = await recall({ store }, BOARD);
    if (Object.keys(memory).length === 0) return 'memory unread';
    const { romAppearsMs, applicationAppearsMs, resetHoldMs, doubleResetGapMs } = memory;
    for (const ms of [romAppearsMs, applicationAppearsMs, resetHoldMs, doubleResetGapMs])
      holds(ms === undefined || (ms >= 0 && ms <= 60_000), `${ms} ms were measured`);
    for (const ms of [romAppearsMs, applicationAppearsMs])
      holds(
        appearTimeoutMs(ms) >= 2000 && appearTimeoutMs(ms) <= 180_000,
        `a board is waited for ${appearTimeoutMs(ms)} ms`,
      );
    return 'memory read';
  },
  lines: async (store) => {
    const book = await knownLines(store);
    for (const name of book.names) {
      const { pins } = book.place(name);
      holds(typeof pins?.boot0 === 'string' && typeof pins.nrst === 'string', `pins of ${name}`);
    }
    return book.names.length === 0 ? 'lines unread' : 'lines read';
  },
};

/** Its description is spoilt, its bytes are not: what is given back is them, or nothing. */
async function checkCopy(store: MemoryStore): Promise<Fate> {
  const listed: readonly BackupRecord[] = await listBackups({ store }, BOARD);
  for (const { id, address, sizeBytes } of listed) {
    holds(KEYS.backup === `backups/${BOARD}/${id}.json`, `a copy "${id}" that has another name`);
    holds(Number.isInteger(address) && address >= 0 && address < 2 ** 32, `a copy of ${address}`);
    holds(Number.isInteger(sizeBytes) && sizeBytes >= 0, `a copy of ${sizeBytes} bytes`);
  }
  const id = (RECORDS.backup as unknown as BackupRecord).id;
  try {
    const { bytes } = await readBackup({ store }, BOARD, id);
    holds(sameBytes(bytes, COPY), 'other bytes than were kept');
    return 'backup read';
  } catch (error) {
    refusalCode(error, ['backup-damaged', 'unknown-backup']);
    return listed.length === 0 ? 'backup unread' : 'backup listed, unread';
  }
}
