// Puts a kept copy, a part of it, or a vendor's bootloader back on the board: the same walk as a flash, with a plan of its own.
import { OctopusError, hex } from '../errors.ts';
import { isBootloader, judgeBoot, launchOf } from '../firmware/boot-rules.ts';
import { describe } from '../firmware/write-rules.ts';
import { readBackup, regionName } from './backup.ts';
import type { Part } from './backup-parts.ts';
import { residentsAfter } from './expected-boot.ts';
import { carryOut, reachOf, type FlashKit } from './flash.ts';
import { planned } from './flash-result.ts';
import type { Confirmation } from './gate.ts';
import type { Kit } from './kit.ts';
import { passGate } from './klipper-stopped.ts';
import { LAST, lastGood } from './last-good.ts';
import type { BoardPlace } from './place.ts';
import type { FlashPlan, ImageFile, JudgedLook } from './preflight.ts';
import type { FlashResult, Report } from './report.ts';
import { planOfBackup, planOfFile, withApplication } from './restore-plan.ts';
import { watched, type Stopwatch } from './stopwatch.ts';
import { findWayIn } from './way-in.ts';

export interface RestoreOrder {
  readonly place: BoardPlace;
  /** The backup's id or the start of it, `last`, or a vendor's bootloader. */
  readonly backup: string | ImageFile;
  /** All that the copy holds, unless given; of `last` what was replaced. */
  readonly what?: Part | undefined;
  /** What the bootloader that goes back is to launch, written together with it. */
  readonly application?: ImageFile | undefined;
  readonly confirm: readonly Confirmation[];
  /** Gate and plan only: the board is not touched. */
  readonly dryRun?: boolean;
}

/** Throws `unknown-backup`, `backup-damaged`, `nothing-would-boot`, `not-a-bootloader`, and what a flash throws. */
export async function restore(
  kit: FlashKit,
  order: RestoreOrder,
  report: Report,
  signal?: AbortSignal,
): Promise<FlashResult> {
  return watched(kit.clock, report, async (watch) => {
    const { board } = order.place;
    const { plan, from, part } = await planOf(kit, order);
    await passGate(kit, order.confirm, watch);
    const way = await findWayIn(kit, order, reachOf(plan), watch, order.dryRun);
    watch.plan(announce(plan, from), plan.expectMs);
    if (order.dryRun === true) return planned(plan, watch);
    const isAtBase = plan.image.address === board.mcu.flashBase;
    const options = {
      place: order.place,
      confirm: order.confirm,
      verify: true,
      dryRun: false,
      force: [],
      replaceBootloader: part !== 'application',
      judge: (look: JudgedLook) => (isAtBase ? judgeAtBase(plan, look, watch) : judgeBehind(plan, look)),
    };
    return await carryOut(kit, plan, options, way, watch, signal);
  });
}

interface Source {
  readonly plan: FlashPlan;
  readonly part: Part;
  /** Where it comes from, in words. */
  readonly from: string;
}

async function planOf(kit: Pick<Kit, 'store'>, order: RestoreOrder): Promise<Source> {
  const { backup, application } = order;
  const source: Source =
    typeof backup === 'string'
      ? await planOfKept(kit, order, backup)
      : { plan: planOfFile(order.place.board, backup), part: 'bootloader', from: '' };
  return application === undefined ? source : { ...source, plan: withApplication(source.plan, application) };
}

async function planOfKept(
  kit: Pick<Kit, 'store'>,
  { place: { board }, what }: RestoreOrder,
  id: string,
): Promise<Source> {
  const last = id === LAST ? await lastGood(kit, board) : undefined;
  const { record, bytes } = await readBackup(kit, board.name, last?.record.id ?? id);
  const part = what ?? last?.part ?? 'whole';
  return { plan: planOfBackup(board, record, bytes, part), part, from: ` as it was on ${record.date}` };
}

/** One line: what will happen, and how long it should take. */
function announce({ board, passport, image, expectMs }: FlashPlan, from: string): string {
  const { flashBase } = board.mcu;
  const end = image.address + image.bytes.length;
  const launches = image.address === flashBase ? launchOf(passport, board.applicationAddress) : image.address;
  const alone = isBootloader(passport) && end <= launches ? '; what lies behind it is left as it is' : '';
  return `${board.name}: restore of ${regionName(image.address, image.bytes.length)} (${passport.name})${from}${alone}, about ${Math.ceil(expectMs / 1000)} s`;
}

/** A bootloader goes back: what it will launch is looked at, and said. Throws `nothing-would-boot`. */
function judgeAtBase(plan: FlashPlan, look: JudgedLook, watch: Stopwatch): void {
  const { applicationAddress: usual } = plan.board;
  const { bringsApplication, ...after } = residentsAfter(plan, look);
  const isOwn = bringsApplication || !isBootloader(after.atBase);
  const boots = judgeBoot({ now: look, after, bringsApplication: isOwn, usual });
  if (isOwn) return;
  const launches = hex(launchOf(after.atBase, usual));
  watch.note(
    boots === undefined
      ? `Behind the ${describe(after.atBase)} lies nothing that it could start: flash a Klipper linked at ${launches} next.`
      : `${describe(boots)} at ${hex(boots.address)} is left as it is, and the ${describe(after.atBase)} starts it.`,
  );
}

/** An application goes back behind the bootloader that is there now, which has to launch it. Throws `wrong-address`. */
function judgeBehind({ board, image, passport }: FlashPlan, { atBase }: JudgedLook): void {
  const launches = launchOf(atBase, board.applicationAddress);
  if (!isBootloader(atBase) || launches === image.address) return;
  throw new OctopusError(
    'wrong-address',
    `${passport.name} is linked at ${hex(image.address)}, but the ${describe(atBase)} launches ${hex(launches)}`,
    {
      place: hex(image.address),
      advice: `Restore a whole backup, which brings its own bootloader along (octopus backups), or flash an image linked at ${hex(launches)}.`,
    },
  );
}
