// Looking at a chip before it is changed, and keeping a copy of what would be lost.
import { isBootloader, launchOf, type Residents } from '../firmware/boot-rules.ts';
import type { Resident } from '../firmware/passport.ts';
import type { PlannedImage } from '../firmware/plan.ts';
import { recognizeAt } from '../firmware/recognize.ts';
import { describe } from '../firmware/write-rules.ts';
import type { Board } from '../boards/types.ts';
import { OctopusError, hex } from '../errors.ts';
import { findKept, hasWhole, keepBackup, type BackupFacts, type BackupRecord } from './backup.ts';
import { stateOf, type ApplicationState } from './boot-without-wires.ts';
import type { Bootloader } from './bootloader.ts';
import type { Kit } from './kit.ts';
import type { FlashPlan } from './preflight.ts';
import { endNote, readWhole } from './read-whole.ts';
import type { BackupOutcome } from './report.ts';
import type { Stopwatch } from './stopwatch.ts';
import { runningBootloader, Seen } from './seen.ts';
import type { TornSectors } from './torn-sectors.ts';

/** The largest bootloader known is 32,464 bytes (BTT's for the F446): enough to tell what lies at the flash's start. */
const BOOTLOADER_LOOK_BYTES = 32 * 1024;
/** A Klipper of 46 KiB has its dictionary 36 to 40 KiB in: enough of it to know transport and version. */
const APPLICATION_LOOK_BYTES = 96 * 1024;

/** By Katapult's 64-byte blocks more than this takes minutes, and an RP2040's 2 MiB are mostly empty. */
const WHOLE_AT_MOST_BYTES = 1024 * 1024;

export interface Look {
  /** The bytes of the plan's sectors as they are now. */
  readonly current: Uint8Array;
  readonly atBase: Resident;
  /** What the chip's bootloader launches now. */
  readonly application: Resident;
  /** What the bootloader would launch that the chip has once the image is on it, if that is left as it lies. */
  readonly behind: Resident;
  /** What lies where the image is to lie. */
  readonly before: Resident;
  /**
   * What a copy should hold: the whole flash on first contact with this chip; later the plan's sectors, and what belongs
   * to the program or the bootloader that they cut into.
   */
  readonly worthKeeping: PlannedImage & { readonly what: 'whole' | 'region' };
}

/**
 * Reads what the plan would overwrite and what lies at the flash's start: on first contact the whole flash.
 * @param records of this board's backups, those whose bytes are sound
 */
export async function lookAt(
  records: readonly BackupRecord[],
  chip: Bootloader,
  plan: FlashPlan,
  torn: TornSectors,
  watch: Stopwatch,
): Promise<Look> {
  const { board, image, sectors } = plan;
  const { flashBase } = board.mcu;
  const sizeBytes = sectors.reduce((sum, sector) => sum + sector.sizeBytes, 0);
  const seen = new Seen(plan, chip);
  const isWholeKept =
    chip.identity.flashSizeBytes > WHOLE_AT_MOST_BYTES || hasWhole(records, chip.identity.uid);
  if (!isWholeKept) {
    const bytes = await readAll(chip, board, torn, watch);
    refuseBehindEnd(plan, flashBase + bytes.length);
    seen.add({ address: flashBase, bytes });
    const current = seen.from(image.address).subarray(0, sizeBytes);
    return looked(seen, current, { what: 'whole', address: flashBase, bytes });
  }
  const startsAtBase = image.address === flashBase;
  const isAllShown = startsAtBase && flashBase + sizeBytes > board.applicationAddress;
  // An image that replaces only part of a bootloader does not show the whole of it. A Katapult that answers tells of itself.
  const isBaseShown = seen.isBaseKnown || (startsAtBase && sizeBytes >= BOOTLOADER_LOOK_BYTES);
  const total =
    sizeBytes +
    (isBaseShown ? 0 : BOOTLOADER_LOOK_BYTES) +
    (startsAtBase && !isAllShown ? APPLICATION_LOOK_BYTES : 0);
  let done = 0;
  const read = async (address: number, length: number, meanwhile = () => {}): Promise<Uint8Array> => {
    const bytes = await torn.read(chip, address, length, (part) => {
      watch.progress('backup', Math.min(done + part, total), total);
      meanwhile();
    });
    done += length;
    seen.add({ address, bytes });
    return bytes;
  };
  if (!isBaseShown) await read(flashBase, BOOTLOADER_LOOK_BYTES);
  const current = await read(image.address, sizeBytes, () => void (isBaseShown || seen.atBase));
  const flashEnd = flashBase + chip.identity.flashSizeBytes;
  // What the old bootloader launches and what the new one will: on nearly every board the same.
  for (const address of startsAtBase ? new Set([seen.launches, seen.willLaunch]) : []) {
    const wanted = Math.min(APPLICATION_LOOK_BYTES, flashEnd - address);
    if (seen.from(address).length < wanted) await read(address, wanted);
  }
  const end = image.address + sizeBytes;
  const wholeEnd = Math.min(wholeProgramsTo(plan, seen, end), flashEnd);
  if (wholeEnd <= end)
    return looked(seen, current, { what: 'region', address: image.address, bytes: current });
  const bytes = new Uint8Array(wholeEnd - image.address);
  bytes.set(current);
  bytes.set(await torn.read(chip, end, wholeEnd - end), sizeBytes);
  seen.add({ address: image.address, bytes });
  return looked(seen, current, { what: 'region', address: image.address, bytes });
}

/** Half a program or half a bootloader cannot be put back: to the end of the sector in which it ends, where that is known. */
function wholeProgramsTo({ board: { mcu }, image }: FlashPlan, seen: Seen, end: number): number {
  const { before } = seen;
  if (before.kind === 'blank') return end;
  const isBootloaderCut = image.address === mcu.flashBase && isBootloader(before);
  const programBytes = Math.min(before.sizeBytes ?? APPLICATION_LOOK_BYTES, APPLICATION_LOOK_BYTES);
  const to = isBootloaderCut ? seen.launches : before.address + programBytes;
  const last = mcu.sectors.find(({ address, sizeBytes }) => address < to && to <= address + sizeBytes);
  return last === undefined ? to : last.address + last.sizeBytes;
}

function looked(seen: Seen, current: Uint8Array, worthKeeping: Look['worthKeeping']): Look {
  return {
    current,
    worthKeeping,
    get atBase() {
      return seen.atBase;
    },
    get application() {
      return seen.application;
    },
    get behind() {
      return seen.behind;
    },
    get before() {
      return seen.before;
    },
  };
}

/** Keeps what was seen, unless some copy of this chip holds the same bytes. */
export async function keepLook(
  kit: Pick<Kit, 'store' | 'clock'>,
  records: readonly BackupRecord[],
  chip: Bootloader,
  board: Board,
  look: Look,
): Promise<BackupOutcome> {
  const { what, address, bytes } = look.worthKeeping;
  const kept = await findKept(kit, board.name, records, chip.identity.uid, address, bytes);
  return kept ?? keepBackup(kit, factsOf(board, chip, what, address, look), bytes);
}

/** Whether what lies on the chip would run, for a board that leaves its bootloader by a jump into whatever lies there. */
export async function lookWhetherWhole(
  chip: Bootloader,
  board: Board,
  torn: TornSectors,
): Promise<ApplicationState> {
  const { flashBase } = board.mcu;
  // A Katapult tells by itself what it launches; of a ROM only the flash's start does.
  const katapult = runningBootloader(chip, board);
  const from = katapult === undefined ? flashBase : launchOf(katapult, board.applicationAddress);
  const flashEnd = flashBase + chip.identity.flashSizeBytes;
  const end = Math.min(flashEnd, Math.max(from, board.applicationAddress) + APPLICATION_LOOK_BYTES);
  const bytes = await torn.read(chip, from, end - from);
  return stateOf(
    katapult === undefined
      ? residents(board, bytes, chip)
      : { atBase: katapult, application: recognizeAt(bytes, from) },
  );
}

/** The whole flash, read and kept. */
export async function keepWhole(
  kit: Pick<Kit, 'store' | 'clock'>,
  chip: Bootloader,
  board: Board,
  torn: TornSectors,
  watch: Stopwatch,
): Promise<{ readonly kept: BackupOutcome; readonly atBase: Resident; readonly application: Resident }> {
  const bytes = await readAll(chip, board, torn, watch);
  const seen = residents(board, bytes, chip);
  const facts = factsOf(board, chip, 'whole', board.mcu.flashBase, seen);
  return { ...seen, kept: await keepBackup(kit, facts, bytes) };
}

async function readAll(
  chip: Bootloader,
  { mcu }: Board,
  torn: TornSectors,
  watch: Stopwatch,
): Promise<Uint8Array> {
  const total = chip.identity.flashSizeBytes;
  const { bytes, refusedFrom } = await readWhole(chip, mcu, torn, (done) =>
    watch.progress('backup', done, total),
  );
  if (refusedFrom !== null) watch.note(endNote(refusedFrom));
  return bytes;
}

/** What cannot be read cannot be kept, and is not there. */
function refuseBehindEnd({ sectors, image }: FlashPlan, end: number): void {
  const last = sectors.at(-1);
  if (last === undefined || last.address + last.sizeBytes <= end) return;
  throw new OctopusError(
    'image-overruns-flash',
    `the image ends at ${hex(image.address + image.bytes.length)}, and this chip refuses to be read from ${hex(end)} on`,
    { place: hex(end), advice: 'The chip has less flash than its name promises: build a smaller image.' },
  );
}

/** What a dump of the whole flash holds at its start and where bootloaders launch the application. */
export function residents(board: Board, whole: Uint8Array, chip: Bootloader): Residents {
  const atBase = runningBootloader(chip, board) ?? recognizeAt(whole, board.mcu.flashBase);
  const launches = launchOf(atBase, board.applicationAddress);
  return { atBase, application: recognizeAt(whole.subarray(launches - board.mcu.flashBase), launches) };
}

function factsOf(
  board: Board,
  chip: Bootloader,
  what: 'whole' | 'region',
  address: number,
  { atBase, application }: Pick<Look, 'atBase' | 'application'>,
): BackupFacts {
  return {
    board: board.name,
    what,
    address,
    chipUid: chip.identity.uid,
    mcu: board.mcu.name,
    busPath: chip.identity.busPath,
    bootloader: describe(atBase),
    application:
      application.kind === 'blank' ? null : `${application.kind} ${application.version ?? ''}`.trim(),
  };
}
