// Moonraker, events: the progress of a job told no more often than somebody can look, everything else at once, in order.
// Each event wakes whoever listens, on the same processor that waits for the chip.
import type { JobEvent } from '../jobs/job.ts';
import type { Clock } from '../ports/clock.ts';
import { later } from './later.ts';

/** Progress of one job is told at most this often (design, "Methods"). */
export const PROGRESS_MS = 250;

interface Course {
  /** Clock time before which no progress is sent. */
  quietUntil: number;
  waiting: JobEvent | undefined;
  callOff: (() => void) | undefined;
}

export class PacedEvents {
  readonly #clock: Clock;
  readonly #emit: (event: JobEvent) => void;
  readonly #courses = new Map<string, Course>();

  constructor(clock: Clock, emit: (event: JobEvent) => void) {
    this.#clock = clock;
    this.#emit = emit;
  }

  /** Events of a job in their order; its end comes last. */
  tell(event: JobEvent): void {
    const course = this.#courseOf(event.job);
    if (event.kind === 'progress') this.#progress(course, event);
    else this.#atOnce(course, event);
    if (event.kind === 'ended') this.#courses.delete(event.job);
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

  #progress(course: Course, event: JobEvent): void {
    const now = this.#clock.now();
    if (course.callOff === undefined && now >= course.quietUntil) {
      this.#emitProgress(course, event);
      return;
    }
    course.waiting = event;
    course.callOff ??= later(this.#clock, course.quietUntil - now, () => {
      course.callOff = undefined;
      this.#flush(course);
    });
  }

  /** What stands for something is sent after the progress that came before it. */
  #atOnce(course: Course, event: JobEvent): void {
    course.callOff?.();
    course.callOff = undefined;
    this.#flush(course);
    this.#emit(event);
  }

  #flush(course: Course): void {
    const { waiting } = course;
    course.waiting = undefined;
    if (waiting !== undefined) this.#emitProgress(course, waiting);
  }

  #emitProgress(course: Course, event: JobEvent): void {
    course.quietUntil = this.#clock.now() + PROGRESS_MS;
    this.#emit(event);
  }
}
