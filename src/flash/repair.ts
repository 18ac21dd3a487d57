// What a dead job has left on a board, brought to an end: octopus.repair, and what a daemon does when it starts.
// Nothing is believed: a board that runs is left alone, and the chip's own content says what is still to be written.
import { OctopusError, asOctopusError } from '../errors.ts';
import { isBootloader } from '../firmware/boot-rules.ts';
import { sectorsOf } from '../firmware/plan.ts';
import type { Board } from '../boards/types.ts';
import { readBackup } from './backup.ts';
import { contentsOf } from './backup-parts.ts';
import { remember } from './board-memory.ts';
import { romAgain } from './confirm.ts';
import { carryOut, reachOf } from './flash.ts';
import type { Confirmation } from './gate.ts';
import { passGate } from './klipper-stopped.ts';
import { lookWhetherWhole } from './look.ts';
import type { Kit } from './kit.ts';
import { cutOffMemory, isBeforeApplication } from './last-good.ts';
import type { VisitOrder } from './place.ts';
import { estimateMs, type FlashPlan } from './preflight.ts';
import {
  closeReplacement,
  isReplacementOpen,
  readImageOf,
  readReplacement,
  type Replacement,
} from './replacement.ts';
import type { FlashResult, Report } from './report.ts';
import { reset } from './reset.ts';
import { planOfBackup } from './restore-plan.ts';
import type { VisitKit } from './stay.ts';
import { watched, type Stopwatch } from './stopwatch.ts';
import { visitBootloader } from './visit.ts';
import type { UsbKind } from './watch-usb.ts';
import { findWayIn } from './way-in.ts';
import { isInBootloader, kindOnUsb, whatRuns } from './what-runs.ts';

export type RepairOutcome =
  /** Nothing is owed, and the board is not in a bootloader where a job of ours has left it, or has nothing to run. */
  | { readonly kind: 'nothing' }
  /** It runs as it is; `what` says what was seen. */
  | { readonly kind: 'runs'; readonly what: string }
  /** It was let go from the bootloader that a job had left it in; nothing had been changed. */
  | { readonly kind: 'released' }
  /** What was begun is done now, or what ran before is back. */
  | { readonly kind: 'finished' | 'rolled-back'; readonly result: FlashResult };

/**
 * @param order.confirm what the caller vouches for beside what is certain: a board that does not run heats and moves
 *   nothing by itself
 * @param order.mayBeInBootloader the last job may have left it there
 * Throws what a flash throws; what is owed stays on record then, for the next start.
 */
export async function repair(
  kit: VisitKit,
  order: VisitOrder & { readonly mayBeInBootloader: boolean },
  report: Report,
  signal?: AbortSignal,
): Promise<RepairOutcome> {
  return watched(kit.clock, report, async (watch) => {
    const { place } = order;
    const { name } = place.board;
    const replacement = await readReplacement(kit, name);
    const kind = await kindOnUsb(kit, place, order.mayBeInBootloader);
    const vouched = { place, confirm: vouch(order.confirm, kind) };
    const isLost = replacement === undefined && (await isReplacementOpen(kit, name));
    if (replacement === undefined && !isLost) {
      if (!order.mayBeInBootloader || !(await isInBootloader(kit, place, kind, signal)))
        return { kind: 'nothing' };
      const isReleased = await release(kit, vouched, report, watch, signal);
      return { kind: isReleased ? 'released' : 'nothing' };
    }
    const what = await whatRuns(kit, vouched, kind, watch, signal);
    if (what !== undefined) {
      if (replacement !== undefined) await remember(kit, name, cutOffMemory(place.board, replacement));
      await closeReplacement(kit, name);
      return { kind: 'runs', what };
    }
    if (replacement === undefined) throw lostRecord(place.board, watch);
    return await finish(kit, vouched, replacement, watch, signal);
  });
}

function lostRecord({ name }: Board, watch: Stopwatch): OctopusError {
  watch.onBoard = 'Its firmware may be half-written.';
  return new OctopusError(
    'backup-damaged',
    `a flash of ${name} did not come to its end, and what was being written cannot be read any more`,
    {
      place: `replacements/${name}.json`,
      advice: 'Flash the board again (octopus flash), or put a backup back (octopus restore).',
    },
  );
}

/** The same walk as the flash that was begun; what is written already is found on the chip and not written again. */
async function finish(
  kit: VisitKit,
  order: VisitOrder,
  replacement: Replacement,
  watch: Stopwatch,
  signal: AbortSignal | undefined,
): Promise<RepairOutcome> {
  const { board } = order.place;
  const { plan, kind } = await planFor(kit, board, replacement, watch);
  await passGate(kit, order.confirm, watch);
  const way = await findWayIn(kit, order, reachOf(plan), watch);
  const version = plan.passport.version ?? plan.passport.kind;
  const from = new Date(replacement.startedAt).toISOString();
  watch.plan(
    kind === 'finished'
      ? `${board.name}: the flash of ${version}, begun at ${from}, is finished`
      : `${board.name}: the flash begun at ${from} cannot be finished; what ran before is put back`,
    plan.expectMs,
  );
  const { chipUid, force } = replacement;
  // The rules were asked when it was begun, of a chip that was whole.
  const options = { ...order, verify: true, dryRun: false, replaceBootloader: true, force, chipUid };
  const result = await carryOut(kit, plan, options, way, watch, signal);
  return { kind, result };
}

/** The image that was begun; where its bytes are gone, what ran before. Throws `backup-damaged`, `unknown-backup`. */
async function planFor(
  kit: Pick<Kit, 'store'>,
  board: Board,
  replacement: Replacement,
  watch: Stopwatch,
): Promise<{ plan: FlashPlan; kind: 'finished' | 'rolled-back' }> {
  try {
    const bytes = await readImageOf(kit, board.name, replacement);
    const { address, passport } = replacement;
    const sectors = sectorsOf(board.mcu.sectors, address, bytes.length);
    const expectMs = estimateMs(board, sectors, bytes.length);
    return { plan: { board, passport, image: { address, bytes }, sectors, expectMs }, kind: 'finished' };
  } catch (thrown) {
    if (replacement.before === null) throw thrown;
    watch.note(`${asOctopusError(thrown).message}.`);
    const { record, bytes } = await readBackup(kit, board.name, replacement.before);
    // A bootloader may come back alone: with the application behind it nothing was done.
    const { atBase } = contentsOf(board, { address: record.address, bytes });
    const part = isBootloader(atBase) && isBeforeApplication(board, replacement) ? 'bootloader' : 'whole';
    return { plan: planOfBackup(board, record, bytes, part), kind: 'rolled-back' };
  }
}

/**
 * Nothing was changed on it: it only has to leave its bootloader, by one pulse or by the bootloader's own word, which is a
 * jump into whatever lies there. Returns whether it left: a board that had nothing to run stays where it was before.
 */
async function release(
  kit: VisitKit,
  order: VisitOrder,
  report: Report,
  watch: Stopwatch,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  watch.onBoard = 'The board was not changed.';
  const { board, pins } = order.place;
  if (pins !== undefined) {
    const wired = { ...order, place: { ...order.place, pins } };
    const { seen, busPath } = await reset(kit, wired, report, signal);
    if (seen === 'romDfu') throw romAgain(busPath ?? board.name);
    return true;
  }
  await passGate(kit, order.confirm, watch);
  const way = await findWayIn(kit, order, 'any', watch);
  return visitBootloader(
    kit,
    order,
    way,
    watch,
    signal,
    async (chip, visit) => {
      const application = await lookWhetherWhole(chip, board, visit.torn);
      visit.application = () => application;
      return application === 'whole';
    },
    async (isWhole) => isWhole,
  );
}

/**
 * A board that does not run moves and heats nothing, and a Klipper without its board is in no print: what Klipper can
 * tell is asked all the same. In the ROM already its heaters can only win by its leaving.
 */
function vouch(given: readonly Confirmation[], kind: UsbKind | undefined): readonly Confirmation[] {
  const certain: readonly Confirmation[] =
    kind === 'romDfu' ? ['cold', 'still', 'heaters_unplugged'] : ['cold', 'still'];
  return [...new Set([...given, ...certain])];
}
