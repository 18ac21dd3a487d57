// Daemon, the first and the last act: no line is driven that no job drives, and what a dead job of ours has begun at a
// board is brought to an end.
import { OctopusError, asOctopusError } from '../errors.ts';
import type { BoardPlace } from '../flash/place.ts';
import type { JobKit } from '../jobs/runner.ts';
import type { Logger } from '../log.ts';
import type { BoardBook } from '../methods/boards.ts';
import { floatAfterCrash, floatLines } from '../methods/float-lines.ts';
import { isOwed, repairBoard } from '../methods/repair.ts';
import type { Office as WholeOffice } from './office.ts';
import type { PrinterAgent } from './printer-agent.ts';

/**
 * Lets the lines of every configured board float, those of other boards where a job of theirs died. One that cannot
 * be reached is told and left to its own jobs, which will not get far either: the daemon still serves the others.
 */
export async function floatAll(kit: JobKit, boards: BoardBook, log: Logger): Promise<void> {
  for (const name of boards.names) {
    try {
      const { pins } = boards.place(name);
      await (boards.configured.includes(name)
        ? floatLines(kit, pins, name)
        : floatAfterCrash(kit, pins, name));
    } catch (thrown) {
      const error = asOctopusError(thrown);
      const isElsewhere = thrown instanceof OctopusError && thrown.code === 'busy';
      if (isElsewhere) log.info({ board: name }, 'a job of another process drives the lines: left alone');
      else log.error({ board: name, err: error, advice: error.advice }, `lines of ${name}: ${error.message}`);
    }
  }
}

type Office = Pick<WholeOffice, 'awaited' | 'desk' | 'kitOf'>;

/**
 * What dead jobs have left undone at the boards, each as soon as its Moonraker is there: half an image, a board in its
 * bootloader, a power device that is off, a Klipper that stands still. A board without a printer needs to wait for none.
 */
export async function repairAfterCrash(boards: BoardBook, office: Office, log: Logger): Promise<void> {
  for (const name of boards.names) {
    const place = boards.place(name);
    if (!(await isOwed(office.kitOf(name), place).catch(() => false))) continue;
    const agent = office.awaited(name);
    log.warn({ board: name }, 'a job before this start has not come to its end: it is looked after');
    if (agent === undefined) void repairOne(place, office, log);
    else onceUp(agent, () => repairOne(place, office, log));
  }
}

/** At the next connection again, as long as `work` says that it is not done. */
function onceUp(agent: PrinterAgent, work: () => Promise<boolean>): void {
  let isDone = false;
  agent.onUp(() => {
    if (isDone) return;
    isDone = true;
    void work().then((done) => (isDone = done));
  });
}

/** Whether it is done with, well or not. Never throws. */
async function repairOne(place: BoardPlace, { desk, kitOf }: Office, log: Logger): Promise<boolean> {
  const board = place.board.name;
  try {
    const outcome = await repairBoard(kitOf(board), place, undefined, async () => {
      const answer = await desk.call('octopus.repair', { board }, { via: 'start', printer: undefined });
      return desk.jobs.ended('job' in answer ? String(answer.job) : '');
    });
    if (outcome.kind !== 'needs') {
      log.info({ board, outcome: outcome.kind }, 'looked after');
      return true;
    }
    const { message, advice, onBoard } = outcome.error;
    log.error({ board, advice, onBoard }, `not mended: ${message}`);
    return true;
  } catch (thrown) {
    const isAtWork = thrown instanceof OctopusError && thrown.code === 'busy';
    if (isAtWork) log.info({ board }, 'a new job is at the board: it starts Klipper at its end');
    else log.error({ board, err: thrown }, 'a job before this start could not be looked after');
    return isAtWork;
  }
}
