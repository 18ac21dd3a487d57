// octopus.repair, and the same as every start of the daemon does it: what a dead job has left undone at a board.
import { OctopusError, asOctopusError } from '../errors.ts';
import { recall } from '../flash/board-memory.ts';
import type { Kit } from '../flash/kit.ts';
import type { BoardPlace, VisitOrder } from '../flash/place.ts';
import { repair as carryOut, type RepairOutcome } from '../flash/repair.ts';
import { isReplacementOpen } from '../flash/replacement.ts';
import type { Report } from '../flash/report.ts';
import { usbKind } from '../flash/watch-usb.ts';
import {
  lastJob,
  leftInBootloader,
  leftKlipperStopped,
  leftPowerOff,
  noteKlipperStarted,
  notePowerOn,
  noteSettled,
  type JournalPages,
} from '../jobs/journal.ts';
import { lockOf, startJob, type JobKit } from '../jobs/runner.ts';
import { flashAnswer } from './answers.ts';
import { nodeAt, nodeParameters } from './can-node.ts';
import { board, confirm } from './common-parameters.ts';
import { floatLines } from './float-lines.ts';
import { defineMethod } from './method.ts';

const NAME = 'octopus.repair';

export const repair = defineMethod({
  name: NAME,
  summary: 'finish what an interrupted job has left on the board, or put back what ran before',
  needs: 'job',
  parameters: { board, ...nodeParameters, confirm },
  async run({ kit, place }, values, report, signal) {
    const order = { place: nodeAt(place(values.board), values), confirm: values.confirm };
    return repairAnswer(values.board, await lookAndRepair(kit, values.board, order, report, signal));
  },
});

/** @param name of the job's board, whose journal is still that of the dead one */
async function lookAndRepair(
  kit: Kit,
  name: string,
  order: VisitOrder,
  report: Report,
  signal: AbortSignal,
): Promise<RepairOutcome> {
  const last = await lastJob(kit, name);
  const mayBeInBootloader = last !== undefined && leftInBootloader(last);
  return carryOut(kit, { ...order, mayBeInBootloader }, report, signal);
}

function repairAnswer(name: string, outcome: RepairOutcome) {
  const { kind } = outcome;
  const flashed = kind === 'finished' || kind === 'rolled-back' ? flashAnswer(outcome.result) : null;
  return {
    state: 'done' as const,
    board: name,
    outcome: kind,
    /** What was seen to run. */
    runs: kind === 'runs' ? outcome.what : (flashed?.boot ?? null),
    flash: flashed,
  };
}
export type RepairAnswer = ReturnType<typeof repairAnswer>;

/** What a start found and did. `needs`: it could not be mended; the error says what its owner has to do. */
export type StartOutcome =
  | { readonly kind: RepairOutcome['kind'] }
  | { readonly kind: 'needs'; readonly error: OctopusError };

/** Whether a start has to look at this board at all. */
export async function isOwed(kit: JobKit, place: BoardPlace): Promise<boolean> {
  const last = await lastJob(kit, place.board.name);
  if (last !== undefined && (leftInBootloader(last) || leftKlipperStopped(last))) return true;
  if (last !== undefined && leftPowerOff(last) !== undefined) return true;
  return isReplacementOpen(kit, place.board.name);
}

/**
 * A start at one board: its lines float, what a dead job has left undone is finished or undone, and Klipper runs if a
 * job of ours has left it stopped. Throws `busy` when a job of another process is at the board, `lines-stuck`.
 * @param runJob carries out octopus.repair as a job and resolves at its end; in a daemon that is the desk's business
 */
export async function repairBoard(
  kit: JobKit,
  place: BoardPlace,
  report: Report = () => {},
  runJob: () => Promise<object> = () => bareJob(kit, place, report),
): Promise<StartOutcome> {
  const { name } = place.board;
  await floatLines(kit, place.pins, name);
  const last = await lastJob(kit, name);
  const outcome = await mend(kit, place, last, runJob);
  if (last === undefined) return outcome;
  const trouble = await giveBack(kit, place, outcome);
  return trouble === undefined ? outcome : { kind: 'needs', error: trouble };
}

async function mend(
  kit: JobKit,
  place: BoardPlace,
  last: JournalPages | undefined,
  runJob: () => Promise<object>,
): Promise<StartOutcome> {
  const { name } = place.board;
  const isOpen = await isReplacementOpen(kit, name);
  if (!isOpen && (last === undefined || !leftInBootloader(last))) return { kind: 'nothing' };
  try {
    const answer = await runJob();
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the answer of octopus.repair
    const { outcome } = answer as RepairAnswer;
    const still = await lastJob(kit, name);
    if (still !== undefined && leftInBootloader(still)) await noteSettled(kit, still);
    return { kind: outcome };
  } catch (thrown) {
    return { kind: 'needs', error: asOctopusError(thrown) };
  }
}

/**
 * What a dead job has taken from the printer, where the repair was no job that gave it back. Under the board's lock: never
 * in the middle of a job, which needs Klipper stopped and starts it at its end. Klipper runs, whatever becomes of the power.
 * Returns why the power stays off. Throws `printer-unreachable`.
 */
async function giveBack(
  kit: JobKit,
  place: BoardPlace,
  outcome: StartOutcome,
): Promise<OctopusError | undefined> {
  const { name } = place.board;
  const unlock = await kit.locks.acquire(lockOf(name));
  try {
    const last = await lastJob(kit, name);
    if (last === undefined) return undefined;
    try {
      return await givePower(kit, place, leftPowerOff(last), outcome);
    } finally {
      if (leftKlipperStopped(last)) {
        await kit.printer.startKlipper();
        await noteKlipperStarted(kit, name);
      }
    }
  } finally {
    await unlock();
  }
}

/** A board that is still in DFU mode would heat at once. */
async function givePower(
  kit: JobKit,
  place: BoardPlace,
  device: string | undefined,
  outcome: StartOutcome,
): Promise<OctopusError | undefined> {
  if (device === undefined || outcome.kind === 'needs') return undefined;
  if (await mayBeInRom(kit, place)) return heatsAtOnce(place, device);
  await kit.printer.setPower(device, 'on');
  await notePowerOn(kit, place.board.name);
  return undefined;
}

/** Where nobody knows at which port the board is, a ROM at any port may be it. */
async function mayBeInRom(kit: JobKit, place: BoardPlace): Promise<boolean> {
  const busPath = (await recall(kit, place.board.name)).busPath ?? place.busPath;
  return (await kit.usb.list()).some(
    (seen) => usbKind(seen) === 'romDfu' && (busPath === undefined || seen.busPath === busPath),
  );
}

function heatsAtOnce({ board: { name } }: BoardPlace, device: string): OctopusError {
  return new OctopusError(
    'no-boot',
    `the power device "${device}" stays off: what may be ${name} is in DFU mode, and would heat at once`,
    {
      place: 'DFU mode',
      advice:
        'Press its reset button, then octopus repair; or switch the power on when it is out of DFU mode.',
    },
  );
}

async function bareJob(kit: JobKit, place: BoardPlace, report: Report): Promise<RepairAnswer> {
  const { name } = place.board;
  const order = { place, confirm: [] };
  const job = await startJob(kit, {
    method: NAME,
    board: name,
    work: async (whole, _report, signal) =>
      repairAnswer(name, await lookAndRepair(whole, name, order, report, signal)),
  });
  return job.ended;
}
