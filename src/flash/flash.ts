// The walk of a flash, top to bottom. It knows no protocol: every step is a function that is given what it needs.
import { hex } from '../errors.ts';
import { planWrite } from '../firmware/plan.ts';
import { recognizeAt } from '../firmware/recognize.ts';
import type { Resident } from '../firmware/passport.ts';
import { finished, flashMemory, planned } from './flash-result.ts';
import { lookAndKeep } from './look.ts';
import type { Bootloader } from './bootloader.ts';
import { recall, remember } from './board-memory.ts';
import { confirmBoot, expectedBoot } from './confirm.ts';
import type { Confirmation } from './gate.ts';
import type { Kit } from './kit.ts';
import { judgePlan, preflight, type FlashOptions, type FlashPlan, type ImageFile } from './preflight.ts';
import { awaitPrinter } from './printer-verdict.ts';
import type { FlashResult, Report } from './report.ts';
import { Stopwatch } from './stopwatch.ts';
import { verifyFailed } from './verify.ts';
import { passGate, visitBootloader, type BoardPlace } from './visit.ts';

export interface FlashOrder extends FlashOptions {
  readonly place: BoardPlace;
  readonly file: ImageFile;
  readonly confirm: readonly Confirmation[];
  /** Read every byte back; only for measuring is it switched off. */
  readonly verify: boolean;
  /** Preflight and plan only: the board is not touched. */
  readonly dryRun: boolean;
}

export type FlashKit = Pick<Kit, 'clock' | 'gpio' | 'printer' | 'recorder' | 'serial' | 'store' | 'usb'>;

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
  const watch = new Stopwatch(kit.clock, report);
  try {
    watch.begin('preflight');
    const plan = preflight(order.place.board, order.file, order);
    await passGate(kit, order.confirm, watch);
    watch.plan(await announce(kit, plan), plan.expectMs);
    if (order.dryRun) return planned(plan, watch);
    return await carryOut(kit, plan, order, watch, signal);
  } catch (error) {
    throw watch.blame(error);
  }
}

/** Everything behind the preflight; a restore comes in here with a plan of its own. */
export async function carryOut(
  kit: FlashKit,
  plan: FlashPlan,
  order: Omit<FlashOrder, 'file'>,
  watch: Stopwatch,
  signal?: AbortSignal,
): Promise<FlashResult> {
  const { written, boot } = await visitBootloader(
    kit,
    order.place,
    watch,
    signal,
    (chip) => replaceImage(kit, plan, order, chip, watch, signal),
    async (done, seat) => {
      watch.begin('confirm');
      return {
        written: done,
        boot: await confirmBoot(kit, order.place.board.name, seat, expectedBoot(plan, done)),
      };
    },
  );
  watch.onBoard = `The new firmware (${plan.passport.version ?? plan.passport.kind}) is on the board and answers.`;
  watch.begin('printer');
  const printer = await awaitPrinter(kit, plan.passport.version);
  const result = finished(plan, written, boot, printer, watch);
  await remember(kit, order.place.board.name, flashMemory(kit, plan, result));
  return result;
}

/** What was done while the bootloader answered. */
export interface Written {
  readonly before: Resident;
  readonly atBase: Resident;
  /** What lies behind a bootloader, when the image replaces only that. */
  readonly application: Resident;
  readonly backup: FlashResult['backup'];
  readonly bytesWritten: number;
  readonly sectorsErased: number;
  readonly verified: boolean;
}

/** Look, keep a copy, write what differs, read it back. */
async function replaceImage(
  kit: FlashKit,
  plan: FlashPlan,
  order: Omit<FlashOrder, 'file'>,
  chip: Bootloader,
  watch: Stopwatch,
  signal?: AbortSignal,
): Promise<Written> {
  const { board, image, sectors } = plan;
  watch.onBoard = 'The board was not changed: its old firmware is whole.';
  watch.begin('backup');
  const { current, atBase, application, backup } = await lookAndKeep(kit, chip, plan, watch);
  const before = recognizeAt(current, image.address);
  judgePlan(plan, order, atBase);

  // The last exit: up to here nothing on the board was changed. Behind it the job runs to its end.
  signal?.throwIfAborted();

  const headBytes = chip.identity.transferSizeBytes;
  let todo = planWrite(image, sectors, current, headBytes, board.mcu.programWordBytes);
  const sectorsErased = todo.erase.length;
  let bytesWritten = 0;
  for (let round = 1; todo.erase.length > 0; round++) {
    watch.onBoard = `${hex(image.address)} is erased or half-written and does not start; what lay there is kept as backup ${backup.id}. Flash again or octopus restore.`;
    // On a chip whose reads spoil the next write, the first writing after a failed read-back only absorbs the damage.
    const writings = round > 1 && board.mcu.readSpoilsNextWrite ? 2 : 1;
    for (let i = 0; i < writings; i++) await chip.write(todo, writeHooks(watch));
    bytesWritten += todo.write.reduce((sum, run) => sum + run.bytes.length, 0);
    if (!order.verify) break;
    const seen = await chip.read(image.address, image.bytes.length, (done) =>
      watch.progress('verify', done, image.bytes.length),
    );
    todo = planWrite(image, sectors, seen, headBytes, board.mcu.programWordBytes);
    if (todo.erase.length > 0 && round > 1) throw verifyFailed(image, seen);
    if (todo.erase.length > 0)
      watch.note(`The read-back differs in ${todo.erase.length} sectors: erased and written once more.`);
  }
  watch.onBoard = `${hex(image.address)} holds the new firmware, written and read back; it was not seen to run yet.`;
  return { before, atBase, application, backup, bytesWritten, sectorsErased, verified: order.verify };
}

function writeHooks(watch: Stopwatch) {
  return {
    erasing: (done: number, total: number) => watch.progress('erase', done, total),
    writing: (done: number, total: number) => watch.progress('write', done, total),
  };
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
  return `${board.name}: ${from} -> ${what}, ${Math.ceil(image.bytes.length / 1024)} KiB at ${hex(image.address)}, ${sectors.length} sectors, about ${seconds} s`;
}
