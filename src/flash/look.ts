// Looking at a chip before it is changed, and keeping a copy of what would be lost.
import { recognizeAt } from '../firmware/recognize.ts';
import { NOTHING_KNOWN, type Resident } from '../firmware/passport.ts';
import { describe } from '../firmware/write-rules.ts';
import type { Board } from '../boards/types.ts';
import { findKept, hasWhole, keepBackup, type BackupFacts, type BackupRecord } from './backup.ts';
import type { Bootloader } from './bootloader.ts';
import type { Kit } from './kit.ts';
import type { FlashPlan } from './preflight.ts';
import type { BackupOutcome } from './report.ts';
import type { Stopwatch } from './stopwatch.ts';
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
  readonly application: Resident;
  /** What lies where the image is to lie. */
  readonly before: Resident;
  /** What a copy should hold: the whole flash on first contact with this chip, the plan's sectors later. */
  readonly worthKeeping: {
    readonly what: 'whole' | 'region';
    readonly address: number;
    readonly bytes: Uint8Array;
  };
}

/**
 * Reads what the plan would overwrite and what lies at the flash's start: on first contact the whole flash.
 * What it is, is worked out when somebody asks, once, and what can be while the chip is still being read: recognising
 * takes longer than many a transfer.
 * @param records of this board's backups
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
  const isWholeKept =
    chip.identity.flashSizeBytes > WHOLE_AT_MOST_BYTES || hasWhole(records, chip.identity.uid);
  if (!isWholeKept) {
    const bytes = await readWhole(chip, board, torn, watch);
    const from = image.address - flashBase;
    const current = bytes.subarray(from, from + sizeBytes);
    const both = lazily(() => residents(board, bytes, chip));
    const there = lazily(() => recognizeAt(current, image.address));
    return {
      current,
      worthKeeping: { what: 'whole', address: flashBase, bytes },
      get atBase() {
        return both().atBase;
      },
      get application() {
        return both().application;
      },
      get before() {
        return image.address === flashBase ? both().atBase : there();
      },
    };
  }
  // An image that replaces only part of a bootloader does not show the whole of it.
  // A Katapult that answers tells of itself.
  const bootloader = runningBootloader(chip, board);
  const seenFromBase =
    bootloader !== undefined ? BOOTLOADER_LOOK_BYTES : image.address === flashBase ? sizeBytes : 0;
  const baseBytes = seenFromBase >= BOOTLOADER_LOOK_BYTES ? 0 : BOOTLOADER_LOOK_BYTES;
  const applicationBytes = looksBehind(plan) ? APPLICATION_LOOK_BYTES : 0;
  const total = sizeBytes + baseBytes + applicationBytes;
  let done = 0;
  const read = async (address: number, length: number, meanwhile = () => {}): Promise<Uint8Array> => {
    const bytes = await torn.read(chip, address, length, (part) => {
      watch.progress('backup', done + part, total);
      meanwhile();
    });
    done += length;
    return bytes;
  };
  const base = baseBytes === 0 ? undefined : await read(flashBase, baseBytes);
  const atBase = lazily(() => bootloader ?? (base === undefined ? there() : recognizeAt(base, flashBase)));
  const current = await read(image.address, sizeBytes, () => void (base && atBase()));
  const there = lazily(() => recognizeAt(current, image.address));
  const behind = applicationBytes === 0 ? undefined : await read(board.applicationAddress, applicationBytes);
  const application = lazily(() =>
    behind === undefined ? there() : recognizeAt(behind, board.applicationAddress),
  );
  return {
    current,
    worthKeeping: { what: 'region', address: image.address, bytes: current },
    get atBase() {
      return atBase();
    },
    get application() {
      return application();
    },
    get before() {
      return image.address === flashBase ? atBase() : there();
    },
  };
}

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
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

/** An image that ends before the application replaces a bootloader only: what boots afterwards is what lies behind it. */
function looksBehind({ board, image }: FlashPlan): boolean {
  return image.address + image.bytes.length <= board.applicationAddress;
}

/** The whole flash, read and kept. */
export async function keepWhole(
  kit: Pick<Kit, 'store' | 'clock'>,
  chip: Bootloader,
  board: Board,
  torn: TornSectors,
  watch: Stopwatch,
): Promise<{ readonly kept: BackupOutcome; readonly atBase: Resident; readonly application: Resident }> {
  const bytes = await readWhole(chip, board, torn, watch);
  const seen = residents(board, bytes, chip);
  const facts = factsOf(board, chip, 'whole', board.mcu.flashBase, seen);
  return { ...seen, kept: await keepBackup(kit, facts, bytes) };
}

function readWhole(chip: Bootloader, board: Board, torn: TornSectors, watch: Stopwatch): Promise<Uint8Array> {
  const total = chip.identity.flashSizeBytes;
  return torn.read(chip, board.mcu.flashBase, total, (done) => watch.progress('backup', done, total));
}

/** What a dump of the whole flash holds at its start and where bootloaders launch the application. */
export function residents(
  board: Board,
  whole: Uint8Array,
  chip?: Bootloader,
): { atBase: Resident; application: Resident } {
  const running = chip === undefined ? undefined : runningBootloader(chip, board);
  const atBase = running ?? recognizeAt(whole, board.mcu.flashBase);
  const launches = atBase.launchAddress ?? board.applicationAddress;
  return { atBase, application: recognizeAt(whole.subarray(launches - board.mcu.flashBase), launches) };
}

/** The Katapult that answers us: it says by itself where it launches. */
function runningBootloader({ kind, identity }: Bootloader, { mcu }: Board): Resident | undefined {
  if (kind !== 'katapult') return undefined;
  const { version, launchAddress } = identity;
  const unread = { address: mcu.flashBase, sizeBytes: null, sha256: null };
  return {
    ...NOTHING_KNOWN,
    ...unread,
    kind: 'katapult',
    linkAddress: mcu.flashBase,
    mcu: mcu.name,
    version,
    launchAddress,
  };
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
