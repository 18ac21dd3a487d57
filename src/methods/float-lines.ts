// Methods: the lines of one board, let go outside of any job.
import { OctopusError } from '../errors.ts';
import { releaseLines } from '../flash/release-lines.ts';
import { noteLinesFloated, unfinishedJob } from '../jobs/journal.ts';
import { lockOf, type JobKit } from '../jobs/runner.ts';
import type { LinePins } from '../ports/gpio.ts';

/** Under the board's lock, and in no journal: the one of a dead job stays. Throws `busy`, `lines-stuck`. */
export async function floatLines(kit: JobKit, pins: LinePins | undefined, board: string): Promise<void> {
  if (pins === undefined) return;
  const unlock = await kit.locks.acquire(lockOf(board));
  try {
    await releaseLines({ gpio: kit.gpio, recorder: { before: async () => {} } }, pins);
    const dead = await unfinishedJob(kit, board);
    if (dead !== undefined) await noteLinesFloated(kit, dead);
  } finally {
    await unlock();
  }
}

/**
 * The first act of every start that can reach a board: if a process died in the middle of a job, the lines may still
 * be driven (a Raspberry Pi keeps the level of a released line). A job that runs is left alone.
 * Throws `lines-stuck`, `store-failed`.
 */
export async function floatAfterCrash(kit: JobKit, pins: LinePins | undefined, board: string): Promise<void> {
  const dead = await unfinishedJob(kit, board);
  if (dead === undefined || dead.linesFloated === true) return;
  await floatLines(kit, pins, board).catch((error: unknown) => {
    if (!(error instanceof OctopusError && error.code === 'busy')) throw error;
  });
}
