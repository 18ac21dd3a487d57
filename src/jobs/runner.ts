// Jobs: one at a time per board on this host, each under the board's lock and with its journal on disk.
import { randomUUID } from 'node:crypto';
import { asOctopusError } from '../errors.ts';
import type { Kit } from '../flash/kit.ts';
import type { Report } from '../flash/report.ts';
import { advance, eventsAfter, newJob, type Job, type JobChange, type NumberedEvent } from './job.ts';
import { Journal } from './journal.ts';

/** A kit without its recorder: each job brings its own journal. */
export type JobKit = Omit<Kit, 'recorder'>;

export interface JobOrder<R extends object> {
  readonly method: string;
  readonly board: string;
  readonly work: (kit: Kit, report: Report, signal: AbortSignal) => Promise<R>;
  /** `job` as it stands with that event; the first may come before `startJob` has resolved. */
  readonly onEvent?: (event: NumberedEvent, job: Job) => void;
}

export interface RunningJob<R extends object> {
  readonly id: string;
  /** As it stands now. */
  view(): Job;
  eventsAfter(n: number): readonly NumberedEvent[];
  /** Asks the job to stop; it ends as soon as the board allows, or runs to its end. */
  cancel(): void;
  /** Its result, or the OctopusError it failed with; the lock is free again by then. */
  readonly ended: Promise<R>;
}

export const lockOf = (board: string) => `board:${board}`;

/**
 * Takes the board's lock and begins. Resolves as soon as the job runs.
 * Throws `busy` when another job is at the board.
 */
export async function startJob<R extends object>(kit: JobKit, order: JobOrder<R>): Promise<RunningJob<R>> {
  const unlock = await kit.locks.acquire(lockOf(order.board));
  const id = randomUUID();
  let job = newJob(id, order.method, order.board);
  const change = (what: JobChange) => (job = advance(job, what));
  const journal = new Journal(kit, job);
  const abort = new AbortController();
  const report: Report = (event) => {
    const told = change({ kind: 'told', event }).events.at(-1);
    if (told !== undefined) order.onEvent?.(told, job);
  };
  change({ kind: 'started' });
  const ended = (async () => {
    try {
      const result = await order.work({ ...kit, recorder: journal }, report, abort.signal);
      change({ kind: 'ended', result });
      return result;
    } catch (thrown) {
      const error = asOctopusError(thrown);
      change({ kind: 'failed', error });
      throw error;
    } finally {
      // The lines float and Klipper runs by now: a journal that cannot be closed must not turn success into failure.
      await journal.close(endingOf(job)).catch(() => {});
      await unlock();
    }
  })();
  // Who waits for it gets the error from the promise; nobody waiting is no fault of the process.
  ended.catch(() => {});
  return {
    id,
    view: () => job,
    eventsAfter: (n) => eventsAfter(job, n),
    cancel: () => {
      change({ kind: 'cancel-asked' });
      abort.abort();
    },
    ended,
  };
}

function endingOf(job: Job): 'done' | 'failed' | 'cancelled' {
  return job.state === 'done' || job.state === 'cancelled' ? job.state : 'failed';
}
