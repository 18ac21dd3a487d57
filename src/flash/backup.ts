// Copies of what lies on a chip, by content: nothing is overwritten that is not kept, and nothing is kept twice.
import { enums, nullable, number, string, type, type Infer } from 'superstruct';
import { OctopusError, hex } from '../errors.ts';
import { equalBytes } from '../firmware/plan.ts';
import { sha256 } from '../firmware/sha256.ts';
import { seal, unseal } from '../kept.ts';
import type { Kit } from './kit.ts';
import type { BackupOutcome } from './report.ts';

/** What a later version may add is left alone. */
const Record = type({
  id: string(),
  board: string(),
  date: string(),
  what: enums(['whole', 'region']),
  address: number(),
  sizeBytes: number(),
  sha256: string(),
  chipUid: nullable(string()),
  mcu: string(),
  busPath: string(),
  /** What lies at the flash's start and behind it, in words. */
  bootloader: nullable(string()),
  application: nullable(string()),
});
export type BackupRecord = Infer<typeof Record>;
export type BackupFacts = Omit<BackupRecord, 'id' | 'date' | 'sizeBytes' | 'sha256'>;

/** Enough hex digits of a hash to name a copy among a board's few dozen. */
const ID_LENGTH = 12;

export const folderOf = (board: string) => `backups/${board}`;
export const bytesKey = (board: string, id: string) => `${folderOf(board)}/${id}.bin`;
export const descriptionKey = (board: string, id: string) => `${folderOf(board)}/${id}.json`;

/** Oldest first; those whose description cannot be read are left out. */
export async function listBackups(kit: Pick<Kit, 'store'>, board: string): Promise<readonly BackupRecord[]> {
  return (await readRecords(kit, board)).records;
}

/** All descriptions of a board's backups, oldest first, and the keys of those that cannot be read. */
export async function readRecords(
  kit: Pick<Kit, 'store'>,
  board: string,
): Promise<{ readonly records: readonly BackupRecord[]; readonly unreadable: readonly string[] }> {
  const records: BackupRecord[] = [];
  const unreadable: string[] = [];
  for (const key of await kit.store.list(folderOf(board))) {
    if (!key.endsWith('.json')) continue;
    const bytes = await kit.store.read(key).catch((): Uint8Array => new Uint8Array(0));
    if (bytes === undefined) continue;
    const record = unseal(bytes, Record);
    if (record !== undefined && key === descriptionKey(board, record.id)) records.push(record);
    else unreadable.push(key);
  }
  return { records: records.sort((a, b) => a.date.localeCompare(b.date)), unreadable };
}

/** Oldest first, those whose bytes are what they were when they were kept. */
export async function soundBackups(kit: Pick<Kit, 'store'>, board: string): Promise<readonly BackupRecord[]> {
  const sound: BackupRecord[] = [];
  for (const record of await listBackups(kit, board))
    if (await isSound(kit, board, record)) sound.push(record);
  return sound;
}

/** The bytes of one backup, checked against their hash. Throws `unknown-backup`, `backup-damaged`. */
export async function readBackup(
  kit: Pick<Kit, 'store'>,
  board: string,
  id: string,
): Promise<{ record: BackupRecord; bytes: Uint8Array }> {
  const { records, unreadable } = await readRecords(kit, board);
  const matches = records.filter((record) => record.id.startsWith(id));
  const [record] = matches;
  const torn = unreadable.find((one) => one.startsWith(`${folderOf(board)}/${id}`));
  if (record === undefined && torn !== undefined && id !== '')
    throw damaged(torn, 'its description cannot be read');
  if (record === undefined || matches.length > 1 || id === '') {
    throw new OctopusError(
      'unknown-backup',
      matches.length > 1
        ? `"${id}" names ${matches.length} backups of ${board}`
        : `${board} has no backup "${id}"`,
      {
        place: 'backup',
        advice: `See octopus backups --board ${board}.`,
      },
    );
  }
  return { record, bytes: await soundBytes(kit, board, record) };
}

/** Throws `backup-damaged`. */
export async function soundBytes(
  kit: Pick<Kit, 'store'>,
  board: string,
  record: BackupRecord,
): Promise<Uint8Array> {
  const key = bytesKey(board, record.id);
  const bytes = await kit.store.read(key);
  if (bytes === undefined) throw damaged(key, 'its bytes are gone');
  if (bytes.length !== record.sizeBytes || sha256(bytes) !== record.sha256)
    throw damaged(key, 'its bytes do not fit its sha256');
  return bytes;
}

/** Writes the copy, reads all of it back from the disk and compares. Throws `store-failed`. */
export async function keepBackup(
  kit: Pick<Kit, 'store' | 'clock'>,
  facts: BackupFacts,
  bytes: Uint8Array,
): Promise<BackupOutcome> {
  const digest = sha256(bytes);
  // Blank flash looks the same everywhere, and two new boards are alike: place and chip count too.
  const name = `${hex(facts.address)} ${facts.chipUid ?? ''} ${digest}`;
  const id = sha256(new TextEncoder().encode(name)).slice(0, ID_LENGTH);
  const known = (await listBackups(kit, facts.board)).find((record) => record.id === id);
  if (known !== undefined && (await isSound(kit, facts.board, known)))
    return { id, what: known.what, alreadyKept: true };
  const record: BackupRecord = {
    ...facts,
    id,
    date: new Date(kit.clock.date()).toISOString(),
    sizeBytes: bytes.length,
    sha256: digest,
  };
  const description = seal(record);
  const parts = [
    [bytesKey(facts.board, id), bytes],
    [descriptionKey(facts.board, id), description],
  ] as const;
  for (const [key, content] of parts) await kit.store.write(key, content);
  for (const [key, content] of parts) {
    const kept = await kit.store.read(key);
    if (kept !== undefined && equalBytes(kept, content)) continue;
    throw new OctopusError('store-failed', `the backup ${id} does not read back as it was written`, {
      place: key,
      advice: 'Check the disk (an SD card wears out); nothing on the board was changed.',
    });
  }
  return { id, what: facts.what, alreadyKept: false };
}

/**
 * A kept copy of this chip that holds exactly `bytes` at `address`, if there is one; its bytes are read and checked.
 * @param records as `listBackups` gives them
 */
export async function findKept(
  kit: Pick<Kit, 'store'>,
  board: string,
  records: readonly BackupRecord[],
  chipUid: string | null,
  address: number,
  bytes: Uint8Array,
): Promise<BackupOutcome | undefined> {
  for (const record of records.toReversed()) {
    const from = address - record.address;
    if (record.chipUid !== chipUid || from < 0 || from + bytes.length > record.sizeBytes) continue;
    const sound = await soundBytes(kit, board, record).catch(() => undefined);
    if (sound !== undefined && equalBytes(sound.subarray(from, from + bytes.length), bytes)) {
      return { id: record.id, what: record.what, alreadyKept: true };
    }
  }
  return undefined;
}

/** Was the whole flash of this chip ever kept? */
export function hasWhole(records: readonly BackupRecord[], chipUid: string | null): boolean {
  return records.some((record) => record.what === 'whole' && record.chipUid === chipUid);
}

async function isSound(kit: Pick<Kit, 'store'>, board: string, record: BackupRecord): Promise<boolean> {
  return soundBytes(kit, board, record).then(
    () => true,
    () => false,
  );
}

function damaged(key: string, what: string): OctopusError {
  return new OctopusError('backup-damaged', `the backup ${key} is damaged: ${what}`, {
    place: key,
    advice: 'Use another backup (octopus backups); delete the files of this one.',
  });
}

/** What a region is called in messages. */
export function regionName(address: number, sizeBytes: number): string {
  return `${hex(address)}..${hex(address + sizeBytes - 1)}`;
}
