// Looking at a chip before it is changed, and keeping a copy of what would be lost.
import { recognizeAt } from '../firmware/recognize.ts';
import type { Resident } from '../firmware/passport.ts';
import { describe } from '../firmware/write-rules.ts';
import type { Board } from '../boards/types.ts';
import { findKept, hasWhole, keepBackup, type BackupFacts } from './backup.ts';
import type { Bootloader } from './bootloader.ts';
import type { Kit } from './kit.ts';
import type { FlashPlan } from './preflight.ts';
import type { BackupOutcome } from './report.ts';
import type { Stopwatch } from './stopwatch.ts';

/** The largest bootloader known is 32,464 bytes (BTT's for the F446): enough to tell what lies at the flash's start. */
const BOOTLOADER_LOOK_BYTES = 32 * 1024;
/** A Klipper of 46 KiB has its dictionary 36 to 40 KiB in: enough of it to know transport and version. */
const APPLICATION_LOOK_BYTES = 96 * 1024;

export interface Look {
  /** The bytes of the plan's sectors as they are now. */
  readonly current: Uint8Array;
  readonly atBase: Resident;
  readonly application: Resident;
  readonly backup: BackupOutcome;
}

/** Reads what the plan will overwrite and what lies at the flash's start; keeps the first, unless it is kept already. */
export async function lookAndKeep(
  kit: Pick<Kit, 'store' | 'clock'>,
  chip: Bootloader,
  plan: FlashPlan,
  watch: Stopwatch,
): Promise<Look> {
  const { board, image, sectors } = plan;
  const { mcu } = board;
  if (!(await hasWhole(kit, board.name, chip.identity.uid))) {
    const { bytes, backup } = await keepWhole(kit, chip, board, watch);
    const from = image.address - mcu.flashBase;
    const sizeBytes = sectors.reduce((sum, sector) => sum + sector.sizeBytes, 0);
    return { ...residents(board, bytes), current: bytes.subarray(from, from + sizeBytes), backup };
  }
  const sizeBytes = sectors.reduce((sum, sector) => sum + sector.sizeBytes, 0);
  const baseBytes = Math.min(BOOTLOADER_LOOK_BYTES, image.address - mcu.flashBase);
  const applicationBytes = looksBehind(plan) ? APPLICATION_LOOK_BYTES : 0;
  const total = sizeBytes + baseBytes + applicationBytes;
  let before = 0;
  const read = async (address: number, length: number): Promise<Uint8Array> => {
    const bytes = await chip.read(address, length, (done) => watch.progress('backup', before + done, total));
    before += length;
    return bytes;
  };
  const base = baseBytes === 0 ? undefined : await read(mcu.flashBase, baseBytes);
  const current = await read(image.address, sizeBytes);
  const behind = applicationBytes === 0 ? undefined : await read(board.applicationAddress, applicationBytes);
  const atBase = recognizeAt(base ?? current, mcu.flashBase);
  const application = recognizeAt(
    behind ?? current,
    behind === undefined ? image.address : board.applicationAddress,
  );
  const kept = await findKept(kit, board.name, chip.identity.uid, image.address, current);
  const backup =
    kept ??
    (await keepBackup(
      kit,
      facts(board, chip, 'region', image.address, atBase, recognizeAt(current, image.address)),
      current,
    ));
  return { current, atBase, application, backup };
}

/** An image that ends before the application replaces a bootloader only: what boots afterwards is what lies behind it. */
function looksBehind({ board, image }: FlashPlan): boolean {
  return image.address + image.bytes.length <= board.applicationAddress;
}

/** The whole flash, read and kept. */
export async function keepWhole(
  kit: Pick<Kit, 'store' | 'clock'>,
  chip: Bootloader,
  board: Board,
  watch: Stopwatch,
): Promise<{ bytes: Uint8Array; backup: BackupOutcome }> {
  const total = chip.identity.flashSizeBytes;
  const bytes = await chip.read(board.mcu.flashBase, total, (done) => watch.progress('backup', done, total));
  const { atBase, application } = residents(board, bytes);
  const backup = await keepBackup(
    kit,
    facts(board, chip, 'whole', board.mcu.flashBase, atBase, application),
    bytes,
  );
  return { bytes, backup };
}

/** What a dump of the whole flash holds at its start and where bootloaders launch the application. */
export function residents(board: Board, whole: Uint8Array): { atBase: Resident; application: Resident } {
  const atBase = recognizeAt(whole, board.mcu.flashBase);
  const launches = atBase.launchAddress ?? board.applicationAddress;
  return { atBase, application: recognizeAt(whole.subarray(launches - board.mcu.flashBase), launches) };
}

function facts(
  board: Board,
  chip: Bootloader,
  what: 'whole' | 'region',
  address: number,
  atBase: Resident,
  application: Resident,
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
