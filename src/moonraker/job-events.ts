// Moonraker, events: what a job tells, sent to every client that is connected. Numbered by the job, so that a client
// which missed some can ask for them.
import type { JobEvent } from '../jobs/job.ts';
import type { Clock } from '../ports/clock.ts';
import { later } from './later.ts';

/** Progress of one job is told at most this often (design, "Methods"). */
export const PROGRESS_MS = 250;
/** What waits for a connection that is down; over this the oldest go, and clients ask with octopus.job_get. */
const KEPT_EVENTS = 200;
/** Its own name: `connected` and `disconnected` are Moonraker's (moonraker/components/extensions.py). */
export const JOB_EVENT = 'job';

/** Where events go: `link.notify`. */
export type Send = (method: string, params: object) => boolean;

interface Course {
  /** Clock time before which no progress is sent. */
  quietUntil: number;
  waiting: object | undefined;
  callOff: (() => void) | undefined;
}

export class JobEvents {
  readonly #clock: Clock;
  readonly #send: Send;
  readonly #courses = new Map<string, Course>();
  #kept: object[] = [];

  constructor(clock: Clock, send: Send) {
    this.#clock = clock;
    this.#send = send;
  }

  /** Events of a job in their order; its end comes last. */
  tell(event: JobEvent): void {
    const course = this.#courseOf(event.job);
    if (event.kind === 'progress') this.#progress(course, event);
    else this.#atOnce(course, event);
    if (event.kind === 'ended') this.#courses.delete(event.job);
  }

  /** The connection is back: what was told meanwhile, in order. */
  resend(): void {
    const kept = this.#kept;
    this.#kept = [];
    for (const data of kept) this.#emit(data);
  }

  #courseOf(id: string): Course {
    const course = this.#courses.get(id) ?? {
      quietUntil: Number.NEGATIVE_INFINITY,
      waiting: undefined,
      callOff: undefined,
    };
    this.#courses.set(id, course);
    return course;
  }

  #progress(course: Course, data: object): void {
    const now = this.#clock.now();
    if (course.callOff === undefined && now >= course.quietUntil) {
      this.#emitProgress(course, data);
      return;
    }
    course.waiting = data;
    course.callOff ??= later(this.#clock, course.quietUntil - now, () => {
      course.callOff = undefined;
      this.#flush(course);
    });
  }

  /** What stands for something is sent after the progress that came before it. */
  #atOnce(course: Course, data: object): void {
    course.callOff?.();
    course.callOff = undefined;
    this.#flush(course);
    this.#emit(data);
  }

  #flush(course: Course): void {
    const { waiting } = course;
    course.waiting = undefined;
    if (waiting !== undefined) this.#emitProgress(course, waiting);
  }

  #emitProgress(course: Course, data: object): void {
    course.quietUntil = this.#clock.now() + PROGRESS_MS;
    this.#emit(data);
  }

  #emit(data: object): void {
    if (this.#send('connection.send_event', { event: JOB_EVENT, data })) return;
    this.#kept.push(data);
    if (this.#kept.length > KEPT_EVENTS) this.#kept.shift();
  }
}
