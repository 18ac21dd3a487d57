// Which phase a walk is in, how long each took, and what is on the board now: told to whoever watches.
import { asOctopusError, type OctopusError } from '../errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Phase, Report, Timings } from './report.ts';

export class Stopwatch {
  readonly notes: string[] = [];
  /** In words, for the error that may come; undefined as long as nothing was touched. */
  onBoard: string | undefined;
  /** Why Klipper, which the walk had stopped, stands still at its end. */
  klipperDown: string | undefined;
  readonly #clock: Clock;
  readonly #report: Report;
  readonly #startedAt: number;
  #phase: Phase | undefined;
  #phaseStartedAt: number;
  readonly #timings: Partial<Record<Phase, number>> = {};

  constructor(clock: Clock, report: Report) {
    this.#clock = clock;
    this.#report = report;
    this.#startedAt = this.#phaseStartedAt = clock.now();
  }

  /** The walk is in `phase` from now on. */
  begin(phase: Phase): void {
    if (phase === this.#phase) return;
    this.#endPhase();
    this.#phase = phase;
    this.#report({ kind: 'phase', phase });
  }

  progress(phase: Phase, doneBytes: number, totalBytes: number): void {
    this.begin(phase);
    this.#report({ kind: 'progress', phase, doneBytes, totalBytes });
  }

  plan(text: string, expectMs: number): void {
    this.#report({ kind: 'plan', text, expectMs });
  }

  note(text: string): void {
    this.notes.push(text);
    this.#report({ kind: 'note', text });
  }

  /** Milliseconds by phase so far. */
  timings(): Timings {
    this.#endPhase();
    return { ...this.#timings, total: Math.round(this.#clock.now() - this.#startedAt) };
  }

  /** The error with what is on the board now, where it does not say so itself. */
  blame(thrown: unknown): OctopusError {
    const error = asOctopusError(thrown);
    error.onBoard ??= this.onBoard;
    return error;
  }

  #endPhase(): void {
    const now = this.#clock.now();
    if (this.#phase !== undefined) {
      this.#timings[this.#phase] = Math.round((this.#timings[this.#phase] ?? 0) + now - this.#phaseStartedAt);
    }
    this.#phaseStartedAt = now;
  }
}

/** Runs `work` with a stopwatch, beginning with its preflight; an error says what is on the board now. */
export async function watched<T>(
  clock: Clock,
  report: Report,
  work: (watch: Stopwatch) => Promise<T>,
): Promise<T> {
  const watch = new Stopwatch(clock, report);
  try {
    watch.begin('preflight');
    return await work(watch);
  } catch (error) {
    throw watch.blame(error);
  }
}
