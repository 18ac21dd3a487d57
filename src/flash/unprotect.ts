// Read protection taken away, which erases the whole chip: octopus.unprotect. Only where it is on, and only on request.
import { OctopusError, hex } from '../errors.ts';
import { ERASED } from '../firmware/flatten.ts';
import type { Board } from '../boards/types.ts';
import { listBackups, type BackupRecord } from './backup.ts';
import { remember } from './board-memory.ts';
import type { Bootloader } from './bootloader.ts';
import { refuseRomAgain } from './confirm.ts';
import type { Kit } from './kit.ts';
import { passGate } from './klipper-stopped.ts';
import type { VisitOrder } from './place.ts';
import { isCode, writeProtectedSectors } from './protection.ts';
import { closeReplacement } from './replacement.ts';
import type { Report, Timings } from './report.ts';
import type { Inside, VisitKit } from './stay.ts';
import { watched, type Stopwatch } from './stopwatch.ts';
import { visitBootloader } from './visit.ts';
import { usbKind, waitUntilGone } from './watch-usb.ts';
import { findWayIn } from './way-in.ts';

export interface Unprotected extends Left {
  /** A copy of the whole flash that was kept before the protection came, newest; null where there is none. */
  readonly backup: Pick<BackupRecord, 'id' | 'date'> | null;
  readonly notes: readonly string[];
  readonly timings: Timings;
}

/** Seen through the ROM once more; without wires it is not entered again by itself, and nobody looks. */
interface Left {
  readonly isBlank: true | null;
  /** Start addresses of sectors that are still write-protected: that stays (RM0090 3.7.3). Null: not known. */
  readonly writeProtected: readonly number[] | null;
}

/** As long as a chip may erase itself (DS8626 table 40: 32 s), and reset itself then. */
const GONE_WITHIN_MS = 40_000;
/** AN3156 3.1: the shortest read. */
const PROBE_BYTES = 2;

/** Throws `not-read-protected` (nothing was erased), and what entering the bootloader throws. */
export async function unprotect(
  kit: VisitKit,
  order: VisitOrder,
  report: Report,
  signal?: AbortSignal,
): Promise<Unprotected> {
  return watched(kit.clock, report, async (watch) => {
    const { board, pins } = order.place;
    await passGate(kit, order.confirm, watch);
    const way = await findWayIn(kit, order, 'rom', watch);
    watch.onBoard = 'The board was not changed.';
    const left = await visitBootloader(
      kit,
      order,
      way,
      watch,
      signal,
      eraseAll(kit, board, watch),
      async (_erased, seat): Promise<Left> => {
        let seen: Left = { isBlank: null, writeProtected: null };
        if (pins === undefined) {
          watch.note(
            'Nobody has looked whether the chip is blank: without wires it is not entered by itself.',
          );
          return seen;
        }
        const look = lookAround(kit, board, watch);
        const seatThen = await seat.again(async (chip, visit) => {
          seen = await look(chip, visit);
        });
        watch.onBoard = 'The chip is blank and no longer read-protected.';
        watch.begin('confirm');
        await refuseRomAgain(kit, board.name, seatThen);
        return seen;
      },
    );
    await forget(kit, board.name);
    const whole = (await listBackups(kit, board.name)).filter(({ what }) => what === 'whole');
    const [newest] = whole.toReversed();
    return {
      ...left,
      backup: newest === undefined ? null : { id: newest.id, date: newest.date },
      notes: watch.notes,
      timings: watch.timings(),
    };
  });
}

function eraseAll(kit: VisitKit, { mcu }: Board, watch: Stopwatch): Inside<void> {
  return async (chip, visit) => {
    watch.begin('look');
    await refuseOpen(chip, mcu.flashBase);
    visit.lastExit();
    visit.application = () => 'torn';
    watch.begin('erase');
    watch.onBoard =
      'The whole chip is erased, or was being erased: no bootloader, no firmware. Whether the read protection is off, octopus inspect --board tells.';
    await kit.recorder.before({
      kind: 'erase',
      address: mcu.flashBase,
      sizeBytes: chip.identity.flashSizeBytes,
    });
    visit.stay.erasingAll();
    await eraseAndWait(kit, chip);
  };
}

/** A chip that is open would be erased for nothing (AN3156 4.4 names no condition). Throws `not-read-protected`. */
async function refuseOpen(chip: Bootloader, flashBase: number): Promise<void> {
  try {
    await chip.read(flashBase, PROBE_BYTES);
  } catch (error) {
    if (isCode(error, 'read-protected')) return;
    throw error;
  }
  throw new OctopusError('not-read-protected', 'this chip can be read: it is not read-protected', {
    place: hex(flashBase),
    advice: 'There is nothing to take away, and nothing was erased. Flash it as it is.',
  });
}

/** A reset by wire while the chip is still at it would leave it half-erased: it goes off the bus when it is done. */
async function eraseAndWait(kit: Pick<Kit, 'usb' | 'clock'>, chip: Bootloader): Promise<void> {
  const device = (await kit.usb.list()).find(
    (one) => one.busPath === chip.identity.busPath && usbKind(one) === 'romDfu',
  );
  if (chip.removeReadProtection === undefined)
    throw new TypeError('the ROM was asked for, and Katapult came');
  const ending = await chip.removeReadProtection();
  if (ending === 'silent' && device !== undefined) await waitUntilGone(kit, device, GONE_WITHIN_MS);
}

/** Throws `read-protected` where it is on still, `verify-failed` where the flash holds anything. */
function lookAround(kit: Pick<Kit, 'store'>, board: Board, watch: Stopwatch): Inside<Left> {
  return async (chip, visit) => {
    const { flashBase } = board.mcu;
    const { flashSizeBytes } = chip.identity;
    visit.application = () => 'torn';
    const bytes = await visit.torn.read(chip, flashBase, flashSizeBytes, (done) =>
      watch.progress('verify', done, flashSizeBytes),
    );
    refuseLeftovers(bytes, flashBase);
    const sectors = await writeProtectedSectors(kit, chip, board, visit.torn);
    return { isBlank: true, writeProtected: sectors?.map(({ address }) => address) ?? null };
  };
}

function refuseLeftovers(bytes: Uint8Array, flashBase: number): void {
  const at = bytes.findIndex((byte) => byte !== ERASED);
  if (at < 0) return;
  const place = hex(flashBase + at);
  throw new OctopusError('verify-failed', `the chip is not blank after it was erased, first at ${place}`, {
    place,
    advice: 'Look at it: octopus inspect --board.',
  });
}

/** What was begun on the chip, and what was known to lie there, is gone. */
async function forget(kit: Pick<Kit, 'store'>, board: string): Promise<void> {
  await remember(kit, board, { bootloader: 'other' }).catch(() => {});
  await closeReplacement(kit, board).catch(() => {});
}
