// What lies on a board's chip, read through whichever bootloader answers, nothing changed and nothing kept:
// octopus.inspect with a board.
import type { Board } from '../boards/types.ts';
import { stateOf } from './boot-without-wires.ts';
import { bootloaderMemory, recall, remember } from './board-memory.ts';
import type { Bootloader, ChipIdentity } from './bootloader.ts';
import { reportOf, type ChipReport, type ChipLook } from './chip-report.ts';
import { refuseRomAgain } from './confirm.ts';
import type { Kit } from './kit.ts';
import { passGate } from './klipper-stopped.ts';
import { residents } from './look.ts';
import type { VisitOrder } from './place.ts';
import { isCode, writeProtectedSectors } from './protection.ts';
import { endNote, readWhole } from './read-whole.ts';
import { readReplacement } from './replacement.ts';
import type { Report, Timings } from './report.ts';
import type { Inside, VisitKit } from './stay.ts';
import { watched, type Stopwatch } from './stopwatch.ts';
import type { TornSectors } from './torn-sectors.ts';
import { visitBootloader } from './visit.ts';
import { runningBootloader } from './seen.ts';
import { findWayIn, type WayIn } from './way-in.ts';
import { recognizeAt } from '../firmware/recognize.ts';

export interface BoardInspected extends ChipReport {
  readonly notes: readonly string[];
  readonly timings: Timings;
}

/**
 * Katapult gives 64 bytes at a time: the application is read in steps until its end is known. The first takes a Klipper
 * of 46 KiB whole, the second one with every driver in it.
 */
const KATAPULT_STEPS_BYTES = [48 * 1024, 96 * 1024];

/** Throws what entering the bootloader throws. A read-protected chip is an answer, not an error. */
export async function inspectBoard(
  kit: VisitKit,
  order: VisitOrder,
  report: Report,
  signal?: AbortSignal,
): Promise<BoardInspected> {
  return watched(kit.clock, report, async (watch) => {
    const { board } = order.place;
    await passGate(kit, order.confirm, watch);
    const way = await findWayIn(kit, order, 'any', watch);
    watch.onBoard = 'The board was not changed.';
    const { seen, identity } = await visitBootloader(
      kit,
      order,
      way,
      watch,
      signal,
      lookIn(kit, board, way, watch),
      async (done, seat) => {
        watch.begin('confirm');
        await refuseRomAgain(kit, board.name, seat);
        return done;
      },
    );
    const { lastFlash } = await recall(kit, board.name);
    const replacement = await readReplacement(kit, board.name);
    const found = reportOf(board, identity, seen, { lastFlash, replacement });
    return { ...found, notes: watch.notes, timings: watch.timings() };
  });
}

function lookIn(
  kit: Pick<Kit, 'store'>,
  board: Board,
  { node }: Pick<WayIn, 'node'>,
  watch: Stopwatch,
): Inside<{ readonly seen: ChipLook; readonly identity: ChipIdentity }> {
  return async (chip, visit) => {
    watch.begin('look');
    const transport = node === undefined ? 'usb' : 'can';
    const seen = await look(kit, chip, board, transport, visit.torn, watch);
    const { identity } = chip;
    if (seen.isReadProtected) return { seen, identity };
    visit.application = () => stateOf(seen);
    await remember(kit, board.name, bootloaderMemory(seen.atBase));
    return { seen, identity: { ...identity, flashSizeBytes: seen.flashSizeBytes } };
  };
}

async function look(
  kit: Pick<Kit, 'store'>,
  chip: Bootloader,
  board: Board,
  transport: 'usb' | 'can',
  torn: TornSectors,
  watch: Stopwatch,
): Promise<ChipLook & { readonly flashSizeBytes: number }> {
  const { flashSizeBytes } = chip.identity;
  const katapult = runningBootloader(chip, board);
  try {
    if (katapult !== undefined) {
      const launches = katapult.launchAddress ?? board.applicationAddress;
      const bytes = await readApplication(chip, board, launches, watch);
      const application = recognizeAt(bytes, launches);
      return {
        through: 'katapult',
        isReadProtected: false,
        writeProtected: undefined,
        runs: [{ address: launches, bytes }],
        unreadable: [],
        // One build speaks one transport only: the one that it was reached by.
        atBase: { ...katapult, transport },
        application,
        flashSizeBytes,
      };
    }
    const { flashBase } = board.mcu;
    const { bytes, refusedFrom } = await readWhole(chip, board.mcu, torn, (done) =>
      watch.progress('look', done, flashSizeBytes),
    );
    if (refusedFrom !== null) watch.note(endNote(refusedFrom));
    return {
      through: 'rom',
      isReadProtected: false,
      writeProtected: await writeProtectedSectors(kit, chip, board, torn),
      runs: [{ address: flashBase, bytes }],
      unreadable: board.mcu.sectors.filter((sector) => torn.has(sector)),
      ...residents(board, bytes, chip),
      flashSizeBytes: bytes.length,
    };
  } catch (error) {
    if (!isCode(error, 'read-protected')) throw error;
    return { through: 'rom', isReadProtected: true, flashSizeBytes };
  }
}

/** As much of it as says what it is. */
async function readApplication(
  chip: Bootloader,
  { mcu }: Board,
  address: number,
  watch: Stopwatch,
): Promise<Uint8Array> {
  const most = mcu.flashBase + chip.identity.flashSizeBytes - address;
  // How much it will be nobody knows, and a total does not change on the way.
  const total = Math.min(most, Math.max(...KATAPULT_STEPS_BYTES));
  let bytes = new Uint8Array(0);
  const readTo = async (wanted: number): Promise<void> => {
    const length = Math.min(wanted, most);
    if (length <= bytes.length) return;
    const before = bytes;
    const more = await chip.read(address + before.length, length - before.length, (done) =>
      watch.progress('look', Math.min(before.length + done, total), total),
    );
    bytes = new Uint8Array(length);
    bytes.set(before);
    bytes.set(more, before.length);
  };
  for (const step of KATAPULT_STEPS_BYTES) {
    await readTo(step);
    const { isCut, kind } = recognizeAt(bytes, address);
    if (!isCut && kind !== 'unknown') return bytes;
  }
  await readTo(recognizeAt(bytes, address).programBytes ?? 0);
  return bytes;
}
