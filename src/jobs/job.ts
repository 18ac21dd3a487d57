// Jobs, the pure part: what a job is and how it goes from one state to the next.
import type { FlashEvent } from '../flash/report.ts';
import type { OctopusError } from '../errors.ts';

export type JobState = 'queued' | 'running' | 'done' | 'failed' | 'cancelled';

/** Numbered from 1 within its job, so that a late listener can ask for what it missed. */
export type NumberedEvent = FlashEvent & { readonly n: number };

/** What is told outside: an event with the job it belongs to, or the job's end with its result or error. */
export type JobEvent = { readonly job: string; readonly method: string; readonly board: string } & (
  | NumberedEvent
  | (Pick<Job, 'state' | 'result' | 'error'> & { readonly kind: 'ended'; readonly n: number })
);

export interface Job {
  readonly id: string;
  readonly method: string;
  readonly board: string;
  readonly state: JobState;
  /** Somebody asked it to stop; it decides itself where that is still possible. */
  readonly cancelAsked: boolean;
  /** What was told so far; of the progress of one phase only the last word. */
  readonly events: readonly NumberedEvent[];
  readonly result?: object;
  readonly error?: ReturnType<OctopusError['toJSON']>;
}

export type JobChange =
  | { readonly kind: 'started' }
  | { readonly kind: 'told'; readonly event: FlashEvent }
  | { readonly kind: 'cancel-asked' }
  | { readonly kind: 'ended'; readonly result: object }
  | { readonly kind: 'failed'; readonly error: OctopusError };

export function newJob(id: string, method: string, board: string): Job {
  return { id, method, board, state: 'queued', cancelAsked: false, events: [] };
}

/** The job after `change`. What comes after its end changes nothing: an ending is final. */
export function advance(job: Job, change: JobChange): Job {
  if (hasEnded(job)) return job;
  switch (change.kind) {
    case 'started':
      return { ...job, state: 'running' };
    case 'told':
      return { ...job, events: append(job.events, change.event) };
    case 'cancel-asked':
      return { ...job, cancelAsked: true };
    case 'ended':
      return { ...job, state: 'done', result: change.result };
    case 'failed':
      return {
        ...job,
        state: change.error.code === 'cancelled' ? 'cancelled' : 'failed',
        error: change.error.toJSON(),
      };
  }
}

export function eventOf({ id, method, board }: Job, event: NumberedEvent): JobEvent {
  return { job: id, method, board, ...event };
}

/** The last word of a job, numbered behind its events. */
export function endOf({ id, method, board, state, result, error, events }: Job): JobEvent {
  const outcome = error === undefined ? { result: result ?? {} } : { error };
  return { job: id, method, board, kind: 'ended', n: (events.at(-1)?.n ?? 0) + 1, state, ...outcome };
}

export function hasEnded(job: Job): boolean {
  return job.state === 'done' || job.state === 'failed' || job.state === 'cancelled';
}

/** Those after number `n`. */
export function eventsAfter(job: Job, n: number): readonly NumberedEvent[] {
  return job.events.filter((event) => event.n > n);
}

/** A job of thousands of progress reports stays a few dozen events long; numbers are never given twice. */
function append(events: readonly NumberedEvent[], event: FlashEvent): readonly NumberedEvent[] {
  const last = events.at(-1);
  const numbered = { ...event, n: (last?.n ?? 0) + 1 };
  const replaces = event.kind === 'progress' && last?.kind === 'progress' && last.phase === event.phase;
  return [...(replaces ? events.slice(0, -1) : events), numbered];
}
