// Methods: after a job that may have kept a copy, old ones go.
import { asOctopusError } from '../errors.ts';
import type { Kit } from '../flash/kit.ts';
import type { BoardPlace } from '../flash/place.ts';
import { KEEP_BACKUPS, pruneBackups } from '../flash/prune.ts';
import type { Report } from '../flash/report.ts';
import { journalText } from '../jobs/journal.ts';

/**
 * Tells what was deleted, and returns it as notes. Never throws: the job is done, and is not called a failure for this.
 * @param name by which the job holds the board's lock and has its journal
 */
export async function tidyBackups(
  kit: Pick<Kit, 'store'>,
  place: BoardPlace,
  name: string,
  report: Report,
): Promise<readonly string[]> {
  const notes = await tidied(kit, place, name);
  for (const text of notes) report({ kind: 'note', text });
  return notes;
}

async function tidied(
  kit: Pick<Kit, 'store'>,
  { board, keepBackups = KEEP_BACKUPS }: BoardPlace,
  name: string,
): Promise<readonly string[]> {
  try {
    const pruned = await pruneBackups(kit, board, keepBackups, await journalText(kit, name));
    if (pruned.length === 0) return [];
    const ids = pruned.map(({ id }) => id).join(', ');
    return [`Old backups were deleted, as keep_backups is ${keepBackups}: ${ids}.`];
  } catch (thrown) {
    return [`Old backups were not tidied up: ${asOctopusError(thrown).message}.`];
  }
}
