// Fuzz: what a board's jobs have left on the disk, cut off and spoilt: the journal, what is being replaced, the copies, what was
// learnt, the known lines. Each is read as what it was or not at all; nothing is done to another board by a wrong letter.
import { seal } from '../../../src/kept.ts';
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
import { isObject } from '../busy-desk.ts';
import type { Random } from '../random.ts';
import { holds, refusalCode, target, type Fate } from '../target.ts';

interface File {
  readonly kept: Kept;
  readonly bytes: Uint8Array;
  /** It was written like that, by another version of us: what it says is its own affair, how it is met is not. */
  readonly isForeign: boolean;
}

const clock = new VirtualClock();

export const records = target<File>({
  name: 'records',
  show: ({ bytes }) => bytes,
  input: (random) => {
    const kept = random.pick(Object.keys(RECORDS) as Kept[]);
    const record = RECORDS[kept];
    const isForeign = random.oneIn(4);
    return { kept, bytes: isForeign ? foreign(random, record) : spoilt(random, record), isForeign };
  },
  check: async ({ kept, bytes, isForeign }): Promise<Fate> => {
    const store = new MemoryStore(clock);
    await store.write(KEYS[kept], bytes);
    const before = new Set(await store.list(''));
    const fate = await CHECKS[kept](store, isForeign);
    const isChanged = !sameBytes(bytes, seal(RECORDS[kept]));
    if (isChanged && !isForeign && fate.endsWith(' read'))
      holds(saysTheSame(bytes, RECORDS[kept]), `a ${kept} that was spoilt is read`);
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

/** White space may be lost without harm. */
function saysTheSame(bytes: Uint8Array, record: Json): boolean {
  const { seal: _seal, ...said } = JSON.parse(Buffer.from(bytes).toString()) as Record<string, Json>;
  return JSON.stringify(said) === JSON.stringify(record);
}

function foreign(random: Random, record: Json): Uint8Array {
  const other = mutateJson(random, record);
  return isObject(other) ? seal(other) : Buffer.from(JSON.stringify(other) ?? '');
}

export function spoilt(random: Random, record: Json & object): Uint8Array {
  const whole = seal(record);
  switch (random.below(5)) {
    case 0:
      return mutateBytes(random, whole, { most: 3 });
    case 1:
      return Buffer.from(mutateJsonText(random, JSON.parse(Buffer.from(whole).toString()) as Json));
    case 2: {
      // What an SD card makes of a sector: other bytes up to its end.
      const from = random.below(whole.length);
      return whole.map((byte, at) => (at >= from ? 0 : byte));
    }
    case 3:
      return whole.subarray(0, random.below(whole.length - 1));
    default:
      return Buffer.from(
        JSON.stringify(mutateJson(random, JSON.parse(Buffer.from(whole).toString()) as Json)),
      );
  }
}

const CHECKS: Readonly<Record<Kept, (store: MemoryStore, isForeign: boolean) => Promise<Fate>>> = {
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
  replacement: async (store, isForeign) => {
    const read = await readReplacement({ store }, BOARD);
    if (read === undefined) return 'replacement unread';
    if (isForeign) return 'replacement read';
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
  backup: async (store, isForeign) => {
    await store.write(KEYS.copy, COPY);
    const fate = await checkCopy(store, isForeign);
    await store.remove(KEYS.copy);
    return fate;
  },
  memory: async (store, isForeign) => {
    const memory = await recall({ store }, BOARD);
    if (Object.keys(memory).length === 0) return 'memory unread';
    const { romAppearsMs, applicationAppearsMs, resetHoldMs, doubleResetGapMs } = memory;
    for (const ms of [romAppearsMs, applicationAppearsMs, resetHoldMs, doubleResetGapMs])
      holds(isForeign || ms === undefined || (ms >= 0 && ms <= 60_000), `${ms} ms were measured`);
    for (const ms of [romAppearsMs, applicationAppearsMs])
      holds(
        appearTimeoutMs(ms) >= 2000 && appearTimeoutMs(ms) <= 30_000,
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
async function checkCopy(store: MemoryStore, isForeign: boolean): Promise<Fate> {
  const listed: readonly BackupRecord[] = await listBackups({ store }, BOARD);
  for (const { id, address, sizeBytes } of listed) {
    holds(KEYS.backup === `backups/${BOARD}/${id}.json`, `a copy "${id}" that has another name`);
    if (isForeign) continue;
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
