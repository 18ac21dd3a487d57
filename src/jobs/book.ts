// Jobs, the book of one process: those that run and the last that have ended, for whoever asks later.
import { OctopusError } from '../errors.ts';
import { eventsAfter, hasEnded, type Job } from './job.ts';
import type { RunningJob } from './runner.ts';

/** Ended jobs that can still be asked for. */
const KEPT_JOBS = 20;
/** A job's id may be cut: this many of its letters are not found twice by chance. */
const SHORTEST_ID = 6;

export class JobBook {
  /** In the order they began. */
  readonly #jobs = new Map<string, RunningJob<object>>();

  add(job: RunningJob<object>): void {
    this.#jobs.set(job.id, job);
    const ended = [...this.#jobs.values()].filter((one) => hasEnded(one.view()));
    for (const one of ended.slice(0, Math.max(0, ended.length - KEPT_JOBS))) this.#jobs.delete(one.id);
  }

  /** Oldest first. */
  list(): readonly Job[] {
    return [...this.#jobs.values()].map((job) => job.view());
  }

  running(): readonly RunningJob<object>[] {
    return [...this.#jobs.values()].filter((job) => !hasEnded(job.view()));
  }

  /**
   * @param n the last event that the caller has: only later ones are given
   * Throws `unknown-job`.
   */
  get(id: string, n = 0): Job {
    const job = this.#find(id).view();
    return { ...job, events: eventsAfter(job, n) };
  }

  /** The result of the job when it has ended. Throws `unknown-job`, and what it failed with. */
  ended(id: string): Promise<object> {
    return this.#find(id).ended;
  }

  /** Asks the job to stop; one that has ended stays as it is. Throws `unknown-job`. */
  cancel(id: string): Job {
    const job = this.#find(id);
    job.cancel();
    return job.view();
  }

  #find(id: string): RunningJob<object> {
    const exact = this.#jobs.get(id);
    if (exact !== undefined) return exact;
    const begun =
      id.length < SHORTEST_ID ? [] : [...this.#jobs.values()].filter((one) => one.id.startsWith(id));
    const [only, ...others] = begun;
    if (only !== undefined && others.length === 0) return only;
    throw new OctopusError('unknown-job', `there is no job "${id.slice(0, 100)}" here`, {
      place: 'job',
      advice: `octopus.job_list has those of this process: the running ones and the last ${KEPT_JOBS} that ended.`,
    });
  }
}
