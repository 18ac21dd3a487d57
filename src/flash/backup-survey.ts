// What each of a board's copies is good for: what it holds, whether it could go back, and why it must not be deleted.
import type { Board } from '../boards/types.ts';
import { asOctopusError, type OctopusError } from '../errors.ts';
import type { Resident } from '../firmware/passport.ts';
import type { PlannedImage } from '../firmware/plan.ts';
import { sha256 } from '../firmware/sha256.ts';
import { trimmed } from '../firmware/flatten.ts';
import { listBackups, soundBytes, type BackupRecord } from './backup.ts';
import { contentsOf, partOf, startsFrom, wordsFor } from './backup-parts.ts';
import type { BoardMemory } from './board-memory.ts';
import type { Kit } from './kit.ts';
import { planOfBackup } from './restore-plan.ts';

export interface Surveyed {
  readonly record: BackupRecord;
  /** Its bytes are what they were when they were kept. */
  readonly isSound: boolean;
  /** In words. */
  readonly holds: { readonly bootloader: string | null; readonly application: string | null };
  /** What of it starts. */
  readonly starts: Resident | undefined;
  /** Of the bootloader that it holds whole. */
  readonly bootloaderSha256: string | undefined;
  /** What a restore of all of it would be refused with, whatever lies on the board. */
  readonly refusal: OctopusError | undefined;
}

/** Oldest first; each is read and recognised, so this takes its time. */
export async function surveyBackups(kit: Pick<Kit, 'store'>, board: Board): Promise<readonly Surveyed[]> {
  const all: Surveyed[] = [];
  for (const record of await listBackups(kit, board.name)) {
    all.push(
      await soundBytes(kit, board.name, record).then(
        (bytes) => weighed(board, record, bytes),
        (thrown: unknown) => ({ ...NOTHING, record, refusal: asOctopusError(thrown) }),
      ),
    );
  }
  return all;
}

const NOTHING = {
  isSound: false,
  holds: { bootloader: null, application: null },
  starts: undefined,
  bootloaderSha256: undefined,
} as const;

function weighed(board: Board, record: BackupRecord, bytes: Uint8Array): Surveyed {
  const copy = { address: record.address, bytes };
  const contents = contentsOf(board, copy);
  const isBare = contents.atBase.kind === 'klipper';
  return {
    record,
    isSound: true,
    holds: {
      bootloader: isBare ? null : wordsFor(contents.atBase),
      application: wordsFor(isBare ? contents.atBase : contents.application),
    },
    starts: startsFrom(contents),
    bootloaderSha256: bootloaderHash(board, copy),
    refusal: refusalOf(() => planOfBackup(board, record, bytes, 'whole')),
  };
}

/** By its own bytes: what an older and longer one has left behind it does not make it another. */
function bootloaderHash(board: Board, copy: PlannedImage): string | undefined {
  let area: Uint8Array | undefined;
  const refusal = refusalOf(() => (area = partOf(board, '', copy, 'bootloader').bytes));
  if (area === undefined || refusal !== undefined) return undefined;
  const { sizeBytes } = contentsOf(board, copy).atBase;
  return sha256(sizeBytes === null ? trimmed(area) : area.subarray(0, sizeBytes));
}

function refusalOf(work: () => unknown): OctopusError | undefined {
  try {
    work();
    return undefined;
  } catch (thrown) {
    return asOctopusError(thrown);
  }
}

/** Why a copy is never pruned. */
export type Reason = 'first' | 'only-whole' | 'only-bootloader' | 'last-good' | 'last-flash' | 'unfinished';

export interface Marks {
  readonly lastGood: BoardMemory['lastGood'];
  readonly lastFlash: BoardMemory['lastFlash'];
  /**
   * What the last job and an open replacement have left on the disk, as text: a copy that it names may be needed to
   * finish or to undo that job.
   */
  readonly unfinished: string;
}

/** @param all of this board that there are, oldest first */
export function reasonsToKeep(one: Surveyed, all: readonly Surveyed[], marks: Marks): readonly Reason[] {
  if (!one.isSound) return [];
  const { id, chipUid, what } = one.record;
  const sound = all.filter(({ isSound }) => isSound);
  const others = sound.filter(({ record }) => record.id !== id);
  const isAlone = (alike: (other: Surveyed) => boolean) => !others.some(alike);
  const ofChip = ({ record }: Surveyed) => record.chipUid === chipUid;
  const { bootloaderSha256: bootloader } = one;
  const holds: Readonly<Record<Reason, boolean>> = {
    first: sound.find(ofChip) === one,
    'only-whole': what === 'whole' && isAlone((other) => other.record.what === 'whole' && ofChip(other)),
    'only-bootloader':
      bootloader !== undefined && isAlone(({ bootloaderSha256 }) => bootloaderSha256 === bootloader),
    'last-good': lastGoodOf(sound, marks.lastGood)?.record.id === id,
    'last-flash': marks.lastFlash?.backup === id,
    unfinished: marks.unfinished.includes(id),
  };
  return REASONS.filter((reason) => holds[reason]);
}
const REASONS = ['first', 'only-whole', 'only-bootloader', 'last-good', 'last-flash', 'unfinished'] as const;

/**
 * The copy of the last application that ran; without a note of it the newest one that holds a Klipper.
 * @param noted from `notedLastGood`
 */
export function lastGoodOf(all: readonly Surveyed[], noted: BoardMemory['lastGood']): Surveyed | undefined {
  const sound = all.filter(({ isSound }) => isSound);
  return (
    sound.find(({ record }) => record.id === noted?.backup) ??
    sound.findLast(({ starts }) => starts?.kind === 'klipper')
  );
}
