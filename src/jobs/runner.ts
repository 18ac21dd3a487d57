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
  const course = new Course(newJob(randomUUID(), order.method, order.board));
  const abort = new AbortController();
  const ended = carryOut(kit, order, course, abort.signal, unlock);
  // Who waits for it gets the error from the promise; nobody waiting is no fault of the process.
  ended.catch(() => {});
  const { id } = course.job;
  // Kept long after its end: nothing in here may hold the order, whose work has the image.
  return {
    id,
    view: () => course.job,
    eventsAfter: (n) => eventsAfter(course.job, n),
    cancel: () => {
      course.change({ kind: 'cancel-asked' });
      abort.abort();
    },
    ended,
  };
}

/** The job as it stands. */
class Course {
  job: Job;

  constructor(job: Job) {
    this.job = job;
  }

  change(what: JobChange): Job {
    return (this.job = advance(this.job, what));
  }
}

async function carryOut<R extends object>(
  kit: JobKit,
  order: JobOrder<R>,
  course: Course,
  signal: AbortSignal,
  unlock: () => Promise<void>,
): Promise<R> {
  const journal = new Journal(kit, course.job);
  const report: Report = (event) => {
    const told = course.change({ kind: 'told', event }).events.at(-1);
    if (told !== undefined) order.onEvent?.(told, course.job);
  };
  course.change({ kind: 'started' });
  try {
    const result = await order.work({ ...kit, recorder: journal }, report, signal);
    course.change({ kind: 'ended', result });
    return result;
  } catch (thrown) {
    const error = asOctopusError(thrown);
    course.change({ kind: 'failed', error });
    throw error;
  } finally {
    // The lines float and Klipper runs by now: a journal that cannot be closed must not turn success into failure.
    await journal.close(endingOf(course.job)).catch(() => {});
    await unlock();
  }
}

function endingOf(job: Job): 'done' | 'failed' | 'cancelled' {
  return job.state === 'done' || job.state === 'cancelled' ? job.state : 'failed';
}
