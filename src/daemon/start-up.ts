// Daemon, the first and the last act: no line is driven that no job drives, and no Klipper stays stopped that a dead
// job of ours has stopped.
import { OctopusError, asOctopusError } from '../errors.ts';
import { lastJob, leftKlipperStopped, noteKlipperStarted } from '../jobs/journal.ts';
import { lockOf, type JobKit } from '../jobs/runner.ts';
import type { Logger } from '../log.ts';
import type { BoardBook } from '../methods/boards.ts';
import { floatAfterCrash, floatLines } from '../methods/float-lines.ts';
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

/** As soon as Moonraker is there. What the board itself needs is the journal's business. */
export async function startKlipperAfterCrash(
  kit: JobKit,
  boards: BoardBook,
  agentOf: (board: string) => PrinterAgent | undefined,
  log: Logger,
): Promise<void> {
  for (const name of boards.names) {
    const dead = await lastJob(kit, name).catch(() => undefined);
    const agent = agentOf(name);
    if (dead === undefined || !leftKlipperStopped(dead) || agent === undefined) continue;
    log.warn({ board: name, method: dead.method }, 'a job has left Klipper stopped: it is started again');
    let isDone = false;
    agent.onUp(() => {
      if (isDone) return;
      isDone = true;
      startKlipper(kit, name, agent).catch((thrown: unknown) => {
        const isAtWork = thrown instanceof OctopusError && thrown.code === 'busy';
        if (isAtWork) log.info({ board: name }, 'a new job is at the board: it starts Klipper at its end');
        else log.error({ board: name, err: thrown }, 'Klipper could not be started');
        // The next connection tries again.
        isDone = isAtWork;
      });
    });
  }
}

/** Under the board's lock: never in the middle of a job, which needs Klipper stopped. */
async function startKlipper(kit: JobKit, board: string, agent: PrinterAgent): Promise<void> {
  const unlock = await kit.locks.acquire(lockOf(board));
  try {
    await agent.printer('mcu').startKlipper();
    await noteKlipperStarted(kit, board);
  } finally {
    await unlock();
  }
}
