// The last application that ran before something was written over it: what `octopus restore last` means.
import { OctopusError } from '../errors.ts';
import { isBootloader } from '../firmware/boot-rules.ts';
import type { Board } from '../boards/types.ts';
import type { BackupRecord } from './backup.ts';
import type { Part } from './backup-parts.ts';
import { lastGoodOf, surveyBackups } from './backup-survey.ts';
import { recall, type BoardMemory } from './board-memory.ts';
import type { Kit } from './kit.ts';
import type { Look } from './look.ts';
import type { FlashPlan } from './preflight.ts';
import { readReplacement, type Replacement } from './replacement.ts';

export const LAST = 'last';

/**
 * What is remembered once the new firmware runs. Where only a bootloader was replaced, the application is what it was.
 * @param before the copy of what ran, as the replacement had it; null where nothing did or nothing was written
 */
export function lastGoodMemory(
  { image, sectors }: Pick<FlashPlan, 'image' | 'sectors'>,
  { atBase, application }: Pick<Look, 'atBase' | 'application'>,
  before: string | null,
): Pick<BoardMemory, 'lastGood'> {
  const runs = isBootloader(atBase) ? application : atBase;
  const isReplaced = sectors.some(
    ({ address, sizeBytes }) => address <= runs.address && runs.address < address + sizeBytes,
  );
  if (before === null || !isReplaced) return {};
  return { lastGood: { backup: before, withBootloader: image.address < runs.address || runs === atBase } };
}

/** The copy that `last` means, and the part of it that was replaced. Throws `unknown-backup`. */
export async function lastGood(
  kit: Pick<Kit, 'store'>,
  board: Board,
): Promise<{ readonly record: BackupRecord; readonly part: Part }> {
  const noted = await notedLastGood(kit, board);
  const found = lastGoodOf(await surveyBackups(kit, board), noted);
  if (found === undefined) {
    throw new OctopusError('unknown-backup', `${board.name} has no copy of an application that ran`, {
      place: 'backup',
      advice: `See octopus backups --board ${board.name}, or flash an image.`,
    });
  }
  const { record } = found;
  return { record, part: noted?.backup === record.id && noted.withBootloader ? 'whole' : 'application' };
}

/** A flash that has not come to its end knows what ran before it; else the last one that has. */
export async function notedLastGood(
  kit: Pick<Kit, 'store'>,
  { name, mcu }: Board,
): Promise<BoardMemory['lastGood']> {
  const open = await readReplacement(kit, name);
  if (open === undefined || open.before === null) return (await recall(kit, name)).lastGood;
  return { backup: open.before, withBootloader: open.address === mcu.flashBase };
}

/** What is remembered of a flash that was cut off behind its work: the board runs, and nobody has looked at its chip. */
export function cutOffMemory(board: Board, replacement: Replacement): Pick<BoardMemory, 'lastGood'> {
  const { address, before } = replacement;
  if (before === null || isBeforeApplication(board, replacement)) return {};
  return { lastGood: { backup: before, withBootloader: address === board.mcu.flashBase } };
}

/** Whether all of it lies where a bootloader does. */
export function isBeforeApplication(
  { applicationAddress }: Board,
  { address, sizeBytes }: Pick<Replacement, 'address' | 'sizeBytes'>,
): boolean {
  return address + sizeBytes <= applicationAddress;
}
