// The heart of a flash, while the bootloader answers: look, keep a copy, the last exit, write what differs, read it back.
import { OctopusError, hex } from '../errors.ts';
import type { WritePlan } from '../firmware/plan.ts';
import { soundBackups, type BackupRecord } from './backup.ts';
import { stateOf } from './boot-without-wires.ts';
import type { Bootloader } from './bootloader.ts';
import type { Kit } from './kit.ts';
import { keepLook, lookAt, type Look } from './look.ts';
import { judgePlan, type FlashOptions, type FlashPlan } from './preflight.ts';
import { refuseProtected, writeProtectedSectors } from './protection.ts';
import { isRefusedByFlash, putBack } from './put-back.ts';
import type { BackupOutcome } from './report.ts';
import { closeReplacement, keepImage, openReplacement, readReplacement } from './replacement.ts';
import type { Inside } from './stay.ts';
import type { Stopwatch } from './stopwatch.ts';
import type { TornSectors } from './torn-sectors.ts';
import { owedTo, refuseOverrun, writeAndVerify } from './write-image.ts';

/** What was done while the bootloader answered. */
export interface Written {
  /** What lay there before. */
  readonly look: Look;
  readonly backup: BackupOutcome | null;
  readonly bytesWritten: number;
  readonly sectorsErased: number;
  readonly verified: boolean;
}

export interface ReplaceOptions extends FlashOptions {
  readonly verify: boolean;
  /** The chip that this was begun on, where it is finished later; null where its bootloader did not tell. */
  readonly chipUid?: string | null;
}

/** What the first look decided; a later look would see our own half-written work. */
interface Decided extends Pick<Written, 'look' | 'backup' | 'sectorsErased'> {
  /** Nobody knows which sectors are write-protected. */
  readonly isWatched: boolean;
  /** All of what lies there could be read. */
  readonly canBePutBack: boolean;
}

/**
 * The work of a flash for `visitBootloader`. It may be carried out again after the chip stopped answering and was
 * reset: what was decided and kept stands, and only what is still owed is written.
 * Throws a refusal of the write rules, `write-protected`, `store-failed`, `verify-failed`, and what the bootloader throws.
 */
export function replaceImage(
  kit: Pick<Kit, 'store' | 'clock'>,
  plan: FlashPlan,
  options: ReplaceOptions,
  watch: Stopwatch,
): Inside<Written> {
  const { image } = plan;
  let decided: Decided | undefined;
  let bytesWritten = 0;
  // Asked for before the board is in its bootloader, where time is dearer.
  const listed = soundBackups(kit, plan.board.name);
  listed.catch(() => {});
  const imageKept = keepImage(kit, plan.board.name, image.bytes);
  imageKept.catch(() => {});
  return async (chip, visit) => {
    const { torn } = visit;
    refuseOverrun(plan, chip);
    refuseOtherChip(plan, options, chip);
    watch.begin('backup');
    // Once more where an earlier round may have kept something.
    const records = await (decided === undefined ? listed : soundBackups(kit, plan.board.name));
    const look = await lookAt(records, chip, plan, torn, watch);
    const owed = owedTo(plan, chip, torn, look.current);
    if (decided === undefined) {
      // What ran a moment ago will run again, whatever can be made of the part of it that is looked at.
      const application = visit.application() === 'whole' ? 'whole' : stateOf(look);
      visit.application = () => application;
    }
    decided ??= await decide(kit, plan, options, records, chip, look, owed, torn);

    // The last exit: up to here nothing on the board was changed. Behind it the job runs to its end.
    visit.lastExit();

    if (owed.erase.length > 0) {
      await imageKept;
      await recordReplacement(kit, plan, options, chip, torn, decided);
      visit.application = () => 'torn';
      watch.onBoard = `${hex(image.address)} is erased or half-written and does not start; what lay there is kept as backup ${decided.backup?.id}. Flash again, or octopus restore.`;
    }
    const { look: first, isWatched, canBePutBack } = decided;
    const watchOver = isWatched ? { address: image.address, bytes: first.current } : undefined;
    try {
      const writing = { verify: options.verify, watchOver };
      await writeAndVerify(plan, owed, writing, chip, torn, watch, (bytes) => (bytesWritten += bytes));
    } catch (error) {
      if (canBePutBack && isRefusedByFlash(error, chip)) {
        await putBack(plan, first, chip, visit, watch);
        // What an earlier one has left half-written is still owed.
        if (stateOf(first) === 'whole') await closeReplacement(kit, plan.board.name).catch(() => {});
      }
      throw error;
    }
    visit.application = () => 'whole';
    const readBack = options.verify ? 'written and read back' : 'written';
    watch.onBoard = `${hex(image.address)} holds the new firmware, ${readBack}; it was not seen to run yet.`;
    const { backup, sectorsErased } = decided;
    const verified = options.verify || bytesWritten === 0;
    return { look: first, backup, sectorsErased, bytesWritten, verified };
  };
}

/** Asks the write rules with what was really read, and keeps what will be lost. */
async function decide(
  kit: Pick<Kit, 'store' | 'clock'>,
  plan: FlashPlan,
  options: ReplaceOptions,
  records: readonly BackupRecord[],
  chip: Bootloader,
  look: Look,
  owed: WritePlan,
  torn: TornSectors,
): Promise<Decided> {
  const { board } = plan;
  judgePlan(plan, options, look);
  const protectedOnes =
    owed.erase.length > 0 ? await writeProtectedSectors(kit, chip, board, torn) : undefined;
  refuseProtected(protectedOnes, owed.erase);
  const isFirstContact = look.worthKeeping.what === 'whole';
  const backup =
    owed.erase.length > 0 || isFirstContact ? await keepLook(kit, records, chip, board, look) : null;
  return {
    look,
    backup,
    sectorsErased: owed.erase.length,
    isWatched: chip.kind === 'rom' && protectedOnes === undefined,
    canBePutBack: !plan.sectors.some((sector) => torn.has(sector)),
  };
}

/** Before the first erase: what the next start needs to know if this one does not come to its end. */
async function recordReplacement(
  kit: Pick<Kit, 'store' | 'clock'>,
  plan: FlashPlan,
  { replaceBootloader, force }: ReplaceOptions,
  chip: Bootloader,
  torn: TornSectors,
  { look, backup }: Decided,
): Promise<void> {
  const { uid } = chip.identity;
  const isTorn = plan.sectors.some((sector) => torn.has(sector));
  const { kind, damage } = look.before;
  const ran = !isTorn && kind !== 'blank' && damage === null;
  // What an earlier replacement has left half-written is nothing to go back to; what ran before that one is.
  const open = await readReplacement(kit, plan.board.name);
  const earlier = open === undefined || isOther(open.chipUid, uid) ? undefined : open;
  const before = earlier !== undefined ? earlier.before : ran ? (backup?.id ?? null) : null;
  const chipUid = uid ?? earlier?.chipUid ?? null;
  await openReplacement(kit, plan, { chipUid, replaceBootloader, force: [...force], before });
}

/** An id that nobody could read proves nothing: many a ROM does not tell it, only the firmware that is torn now. */
function isOther(begunOn: string | null, here: string | null): boolean {
  return begunOn !== null && here !== null && begunOn !== here;
}

/** What was begun on one chip is not finished on another. */
function refuseOtherChip(
  { board }: FlashPlan,
  { chipUid = null }: ReplaceOptions,
  { identity }: Bootloader,
): void {
  if (!isOther(chipUid, identity.uid)) return;
  throw new OctopusError(
    'wrong-device',
    `the chip of ${board.name} is ${identity.uid}, and the flash was begun on ${chipUid}`,
    { place: 'chip id', advice: 'The board was exchanged: flash the new one (octopus flash).' },
  );
}
