// The heart of a flash, while the bootloader answers: look, keep a copy, the last exit, write what differs, read it back.
import { OctopusError, hex } from '../errors.ts';
import { planWrite, type WritePlan } from '../firmware/plan.ts';
import { listBackups, type BackupRecord } from './backup.ts';
import { stateOf } from './boot-without-wires.ts';
import type { Bootloader } from './bootloader.ts';
import type { Kit } from './kit.ts';
import { keepLook, lookAt, type Look } from './look.ts';
import { judgePlan, type FlashOptions, type FlashPlan } from './preflight.ts';
import type { BackupOutcome } from './report.ts';
import type { Stopwatch } from './stopwatch.ts';
import type { TornSectors } from './torn-sectors.ts';
import type { Inside } from './stay.ts';
import { verifyFailed } from './verify.ts';

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
}

/** What the first look decided; a later look would see our own half-written work. */
type Decided = Pick<Written, 'look' | 'backup' | 'sectorsErased'>;

/**
 * The work of a flash for `visitBootloader`. It may be carried out again after the chip stopped answering and was
 * reset: what was decided and kept stands, and only what is still owed is written.
 * Throws a refusal of the write rules, `store-failed`, `verify-failed`, and what the bootloader throws.
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
  const listed = listBackups(kit, plan.board.name);
  listed.catch(() => {});
  return async (chip, visit) => {
    const { torn } = visit;
    refuseOverrun(plan, chip);
    watch.begin('backup');
    // Once more where an earlier round may have kept something.
    const records = await (decided === undefined ? listed : listBackups(kit, plan.board.name));
    const look = await lookAt(records, chip, plan, torn, watch);
    const owed = planAgainst(plan, chip, torn, look.current);
    if (decided === undefined) visit.application = () => stateOf(look);
    decided ??= await decide(kit, plan, options, records, chip, look, owed);

    // The last exit: up to here nothing on the board was changed. Behind it the job runs to its end.
    visit.lastExit();

    if (owed.erase.length > 0) {
      visit.application = () => 'torn';
      watch.onBoard = `${hex(image.address)} is erased or half-written and does not start; what lay there is kept as backup ${decided.backup?.id}. Flash again, or octopus restore.`;
    }
    await writeAndVerify(plan, owed, options, chip, torn, watch, (bytes) => (bytesWritten += bytes));
    visit.application = () => 'whole';
    const readBack = options.verify ? 'written and read back' : 'written';
    watch.onBoard = `${hex(image.address)} holds the new firmware, ${readBack}; it was not seen to run yet.`;
    return { ...decided, bytesWritten, verified: options.verify || bytesWritten === 0 };
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
): Promise<Decided> {
  const { board } = plan;
  judgePlan(plan, options, look);
  const isFirstContact = look.worthKeeping.what === 'whole';
  const backup =
    owed.erase.length > 0 || isFirstContact ? await keepLook(kit, records, chip, board, look) : null;
  return { look, backup, sectorsErased: owed.erase.length };
}

/** Writes, reads every byte back after all writes, and once more erases and writes what differs. */
async function writeAndVerify(
  plan: FlashPlan,
  first: WritePlan,
  options: ReplaceOptions,
  chip: Bootloader,
  torn: TornSectors,
  watch: Stopwatch,
  onWritten: (bytes: number) => void,
): Promise<void> {
  const { board, image } = plan;
  let owed = first;
  for (let round = 1; owed.erase.length > 0; round++) {
    // On a chip whose reads spoil the next write, the first writing after a failed read-back only absorbs the damage.
    const writings = round > 1 && board.mcu.rom?.readSpoilsNextWrite === true ? 2 : 1;
    for (let i = 0; i < writings; i++) {
      await chip.write(owed, {
        erasing: (done, total) => watch.progress('erase', done, total),
        writing: (done, total) => watch.progress('write', done, total),
      });
      onWritten(owed.write.reduce((sum, run) => sum + run.bytes.length, 0));
    }
    torn.mended(owed.erase);
    if (!options.verify) return;
    const seen = await torn.read(chip, image.address, image.bytes.length, (done) =>
      watch.progress('verify', done, image.bytes.length),
    );
    owed = planAgainst(plan, chip, torn, seen);
    if (owed.erase.length === 0) return;
    if (round > 1) throw verifyFailed(image, seen);
    watch.note(
      `The read-back differs in ${owed.erase.length} sectors: they are erased and written once more.`,
    );
  }
}

function planAgainst(
  { board, image, sectors }: FlashPlan,
  chip: Bootloader,
  torn: TornSectors,
  current: Uint8Array,
): WritePlan {
  const { transferSizeBytes } = chip.identity;
  return planWrite(image, sectors, current, transferSizeBytes, board.mcu.programWordBytes, (sector) =>
    torn.has(sector),
  );
}

/** The chip itself may be smaller than the board file says; then the board file is wrong. */
function refuseOverrun({ board, image }: FlashPlan, { identity }: Bootloader): void {
  const end = board.mcu.flashBase + identity.flashSizeBytes;
  if (image.address + image.bytes.length <= end) return;
  throw new OctopusError(
    'image-overruns-flash',
    `the image ends at ${hex(image.address + image.bytes.length)}, this chip's flash at ${hex(end)}`,
    { place: hex(end), advice: 'The chip has less flash than its name promises: build a smaller image.' },
  );
}
