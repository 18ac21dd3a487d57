// Writing an image into a chip that answers: only what differs, every byte read back, what differs then once more.
import { OctopusError, hex } from '../errors.ts';
import type { Board } from '../boards/types.ts';
import { planWrite, type PlannedImage, type PlanSector, type WritePlan } from '../firmware/plan.ts';
import type { Bootloader } from './bootloader.ts';
import type { Stopwatch } from './stopwatch.ts';
import type { TornSectors } from './torn-sectors.ts';
import { writeProtected } from './protection.ts';
import { verifyFailed } from './verify.ts';
import { unchangedIn, writeWatchfully } from './watchful-write.ts';

/** What goes where: part of a `FlashPlan`. */
export interface ImagePlan {
  readonly board: Board;
  readonly image: PlannedImage;
  readonly sectors: readonly PlanSector[];
}

/** What must be erased and written so that the chip, which holds `current` in the plan's sectors, holds the image. */
export function owedTo(
  { board, image, sectors }: ImagePlan,
  chip: Bootloader,
  torn: TornSectors,
  current: Uint8Array,
): WritePlan {
  const { transferSizeBytes } = chip.identity;
  return planWrite(image, sectors, current, transferSizeBytes, board.mcu.programWordBytes, (sector) =>
    torn.has(sector),
  );
}

export interface WriteOptions {
  /** False only for measuring. */
  readonly verify: boolean;
  /** What lay there before, where nobody knows which sectors are write-protected: what was erased is looked at. */
  readonly watchOver?: PlannedImage | undefined;
}

/**
 * Writes, reads every byte back after all writes, and once more erases and writes what differs.
 * Throws `verify-failed`, `write-protected`, and what the bootloader throws.
 * @param owed from `owedTo`
 * @param onWritten hears the bytes of each writing
 */
export async function writeAndVerify(
  plan: ImagePlan,
  first: WritePlan,
  { verify, watchOver }: WriteOptions,
  chip: Bootloader,
  torn: TornSectors,
  watch: Stopwatch,
  onWritten: (bytes: number) => void = () => {},
): Promise<void> {
  const { board, image } = plan;
  let owed = first;
  for (let round = 1; owed.erase.length > 0; round++) {
    // On a chip whose reads spoil the next write, the first writing after a failed read-back only absorbs the damage.
    const writings = round > 1 && board.mcu.rom?.readSpoilsNextWrite === true ? 2 : 1;
    for (let i = 0; i < writings; i++) {
      const hooks = {
        erasing: (done: number, total: number) => watch.progress('erase', done, total),
        writing: (done: number, total: number) => watch.progress('write', done, total),
      };
      if (watchOver === undefined) await chip.write(owed, hooks);
      else await writeWatchfully(chip, owed, watchOver, torn, hooks);
      onWritten(owed.write.reduce((sum, run) => sum + run.bytes.length, 0));
    }
    torn.mended(owed.erase);
    if (!verify) return;
    const seen = await torn.read(chip, image.address, image.bytes.length, (done) =>
      watch.progress('verify', done, image.bytes.length),
    );
    const written = owed;
    owed = owedTo(plan, chip, torn, seen);
    if (owed.erase.length === 0) return;
    const unchanged =
      round > 1 && watchOver !== undefined ? unchangedIn(written, watchOver, image, seen) : [];
    if (unchanged.length > 0)
      throw writeProtected(unchanged, 'it was erased and written twice, and still holds what it held');
    if (round > 1) throw verifyFailed(image, seen);
    watch.note(
      `The read-back differs in ${owed.erase.length} sectors: they are erased and written once more.`,
    );
  }
}

/** The chip itself may be smaller than the board file says; then the board file is wrong. */
export function refuseOverrun({ board, image }: ImagePlan, { identity }: Bootloader): void {
  const end = board.mcu.flashBase + identity.flashSizeBytes;
  if (image.address + image.bytes.length <= end) return;
  throw new OctopusError(
    'image-overruns-flash',
    `the image ends at ${hex(image.address + image.bytes.length)}, this chip's flash at ${hex(end)}`,
    { place: hex(end), advice: 'The chip has less flash than its name promises: build a smaller image.' },
  );
}
