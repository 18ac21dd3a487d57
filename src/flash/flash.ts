// The walk of a flash, top to bottom. It knows no protocol: every step is a function that is given what it needs.
import { asOctopusError, hex } from '../errors.ts';
import { finished, flashMemory, planned } from './flash-result.ts';
import { recall, remember } from './board-memory.ts';
import type { Confirmation } from './gate.ts';
import type { Kit } from './kit.ts';
import { preflight, type FlashOptions, type FlashPlan, type ImageFile } from './preflight.ts';
import { awaitPrinter } from './printer-verdict.ts';
import type { FlashResult, Report } from './report.ts';
import { replaceImage } from './replace-image.ts';
import { confirmOrRollBack } from './roll-back.ts';
import { watched, type Stopwatch } from './stopwatch.ts';
import type { BoardPlace } from './place.ts';
import { passGate } from './klipper-stopped.ts';
import type { VisitKit } from './stay.ts';
import { visitBootloader } from './visit.ts';
import { findWayIn, type WayIn } from './way-in.ts';

export interface FlashOrder extends FlashOptions {
  readonly place: BoardPlace;
  readonly file: ImageFile;
  readonly confirm: readonly Confirmation[];
  /** Read every byte back; only for measuring is it switched off. */
  readonly verify: boolean;
  /** Preflight and plan only: the board is not touched. */
  readonly dryRun: boolean;
}

export type FlashKit = VisitKit;

/**
 * Flashes one image onto one board; the caller holds the board's lock.
 * Ends with the result, or throws an OctopusError that says what is on the board now; in both endings the lines float
 * and Klipper was started again.
 * @param signal cancels until the last exit; after it the flash runs to its end
 */
export async function flash(
  kit: FlashKit,
  order: FlashOrder,
  report: Report,
  signal?: AbortSignal,
): Promise<FlashResult> {
  return watched(kit.clock, report, async (watch) => {
    const plan = preflight(order.place.board, order.file, order);
    await passGate(kit, order.confirm, watch);
    const way = await findWayIn(kit, order, reachOf(plan), watch, order.dryRun);
    watch.plan(await announce(kit, plan), plan.expectMs);
    if (order.dryRun) return planned(plan, watch);
    return await carryOut(kit, plan, order, way, watch, signal);
  });
}

/** Everything behind the preflight; a restore comes in here with a plan of its own. */
export async function carryOut(
  kit: FlashKit,
  plan: FlashPlan,
  order: Omit<FlashOrder, 'file'>,
  way: WayIn,
  watch: Stopwatch,
  signal?: AbortSignal,
): Promise<FlashResult> {
  watch.onBoard = 'The board was not changed: its old firmware is whole.';
  const { written, expected, boot, before } = await visitBootloader(
    kit,
    order,
    way,
    watch,
    signal,
    replaceImage(kit, plan, order, watch),
    async (done, seat) => ({
      written: done,
      ...(await confirmOrRollBack(kit, order.place, plan, done.look, seat, watch)),
    }),
  );
  watch.onBoard = `The new firmware (${plan.passport.version ?? plan.passport.kind}) is on the board and answers.`;
  watch.begin('printer');
  // Of a node that printer.cfg does not name Klipper's host knows no version.
  const isNamed = order.place.can === undefined || order.place.section !== undefined;
  const printer = await awaitPrinter(kit, isNamed ? expected.version : null, watch);
  const result = finished(plan, written, boot, printer, watch);
  await remember(kit, order.place.board.name, flashMemory(kit, plan, result, written, before)).catch(
    (error: unknown) =>
      watch.note(`The flash is done, but could not be noted down: ${asOctopusError(error).message}.`),
  );
  return result;
}

/** Katapult does not write over itself: what begins before the application needs the ROM. */
export function reachOf({ board, image }: Pick<FlashPlan, 'board' | 'image'>): 'any' | 'rom' {
  return image.address < board.applicationAddress ? 'rom' : 'any';
}

/** One line: what will happen, and how long it should take. */
async function announce(
  kit: Pick<Kit, 'store'>,
  { board, passport, image, sectors, expectMs }: FlashPlan,
): Promise<string> {
  const { lastFlash } = await recall(kit, board.name);
  const from =
    lastFlash === undefined
      ? 'what is there (kept as a backup first)'
      : (lastFlash.version ?? lastFlash.kind);
  const seconds = Math.ceil((lastFlash?.tookMs ?? expectMs) / 1000);
  const what = `${passport.kind} ${passport.version ?? ''}`.trim();
  return `${board.name}: ${from} -> ${what}, ${Math.ceil(image.bytes.length / 1024)} KiB at ${hex(image.address)}, ${counted(sectors.length, 'sector')}, about ${seconds} s`;
}

function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}
