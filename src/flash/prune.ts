// Old copies go, so that the disk does not fill; never one that somebody may still need, and never at the price of a job.
import type { Board } from '../boards/types.ts';
import { bytesKey, descriptionKey, folderOf, type BackupRecord } from './backup.ts';
import { reasonsToKeep, surveyBackups, type Marks } from './backup-survey.ts';
import { recall } from './board-memory.ts';
import type { Kit } from './kit.ts';
import { notedLastGood } from './last-good.ts';
import { replacementText } from './replacement.ts';

/** So many of the newest copies of a board stay, unless octopus-flasher.conf says otherwise: at most 1 MiB each. */
export const KEEP_BACKUPS = 20;

/**
 * Deletes what is older than the newest `keep` copies, but what `reasonsToKeep` names, and the bytes that a job has left
 * without a description. The caller holds the board's lock. What is damaged stays: its owner may want what is left of it.
 * @param journal of the board's last job, as text
 * Returns what was deleted. Throws `store-failed`.
 */
export async function pruneBackups(
  kit: Pick<Kit, 'store'>,
  board: Board,
  keep: number,
  journal: string,
): Promise<readonly BackupRecord[]> {
  const keys = await kit.store.list(folderOf(board.name));
  const marks = await marksOf(kit, board, journal);
  await removeOrphans(kit, board.name, keys, marks.unfinished);
  // Most often there is nothing to do, and then nothing is read.
  if (keys.filter((key) => key.endsWith('.json')).length <= keep) return [];
  let all = (await surveyBackups(kit, board)).filter(({ isSound }) => isSound);
  const pruned: BackupRecord[] = [];
  for (const one of all.slice(0, -keep)) {
    if (reasonsToKeep(one, all, marks).length > 0) continue;
    const { record } = one;
    // Should the power go in between, the bytes are an orphan, and go the next time.
    await kit.store.remove(descriptionKey(board.name, record.id));
    await kit.store.remove(bytesKey(board.name, record.id));
    all = all.filter((other) => other !== one);
    pruned.push(record);
  }
  return pruned;
}

/** What besides the copies themselves says which are needed. */
export async function marksOf(kit: Pick<Kit, 'store'>, board: Board, journal: string): Promise<Marks> {
  const { lastFlash } = await recall(kit, board.name);
  const lastGood = await notedLastGood(kit, board);
  return { lastGood, lastFlash, unfinished: `${journal}\n${await replacementText(kit, board.name)}` };
}

/**
 * Bytes without a description: either the power went before it was written, and then the job had not changed anything yet,
 * or it was deleted. A description that cannot be read is one all the same.
 */
async function removeOrphans(
  kit: Pick<Kit, 'store'>,
  board: string,
  keys: readonly string[],
  unfinished: string,
): Promise<void> {
  const all = new Set(keys);
  for (const key of keys) {
    const [, id = ''] = /\/([0-9a-f]+)\.bin$/.exec(key) ?? [];
    if (key !== bytesKey(board, id) || all.has(descriptionKey(board, id)) || unfinished.includes(id))
      continue;
    await kit.store.remove(key);
  }
}
