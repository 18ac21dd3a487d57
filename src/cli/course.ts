// Command line: how far a job has come, out of its events. It only ever moves forward.
import type { FlashEvent, Phase } from '../flash/report.ts';

/** Seconds that each phase takes on a used F446, roughly: only the proportions matter. */
const WEIGHTS: Readonly<Record<Phase, number>> = {
  preflight: 0.1,
  stop: 0.4,
  enter: 0.6,
  backup: 1.2,
  look: 1.2,
  erase: 1,
  write: 1.4,
  verify: 0.3,
  boot: 0.2,
  confirm: 0.9,
  printer: 3,
};

export interface Position {
  readonly phase: Phase;
  /** Of the whole job, 0 to 1. */
  readonly fraction: number;
  /** Of the running phase, where it has bytes. */
  readonly bytesPerSecond: number | undefined;
  /** Of the whole job, where it said how long it should take. */
  readonly leftMs: number | undefined;
}

export class Course {
  readonly #phases: readonly Phase[];
  readonly #total: number;
  readonly #now: () => number;
  #phase: Phase;
  #phaseBeganAt: number;
  #phaseBeganBytes = 0;
  #fraction = 0;
  #bytesPerSecond: number | undefined;
  #expectMs: number | undefined;
  #countsBytes = false;

  /** @param phases those that this job goes through, in order */
  constructor(phases: readonly [Phase, ...Phase[]], now: () => number) {
    this.#phases = phases;
    this.#total = phases.reduce((sum, phase) => sum + WEIGHTS[phase], 0);
    this.#now = now;
    this.#phase = phases[0];
    this.#phaseBeganAt = now();
  }

  take(event: FlashEvent): void {
    switch (event.kind) {
      case 'plan':
        this.#expectMs = event.expectMs;
        return;
      case 'note':
        return;
      case 'phase':
        this.#enter(event.phase, 0);
        this.#reach(event.phase, 0);
        return;
      case 'progress':
        if (event.phase !== this.#phase) this.#enter(event.phase, event.doneBytes);
        this.#countsBytes = true;
        this.#reach(event.phase, event.totalBytes === 0 ? 1 : event.doneBytes / event.totalBytes);
        this.#measure(event.doneBytes);
    }
  }

  /** The remaining time follows the fraction and not the clock, so it never grows again. */
  position(): Position {
    // A phase that counts no bytes comes closer and closer to its end, and never says that it is there.
    if (!this.#countsBytes) {
      const seconds = (this.#now() - this.#phaseBeganAt) / 1000;
      this.#reach(this.#phase, 1 - Math.exp(-seconds / WEIGHTS[this.#phase]));
    }
    return {
      phase: this.#phase,
      fraction: this.#fraction,
      bytesPerSecond: this.#bytesPerSecond,
      leftMs: this.#expectMs === undefined ? undefined : this.#expectMs * (1 - this.#fraction),
    };
  }

  #enter(phase: Phase, doneBytes: number): void {
    this.#phase = phase;
    this.#phaseBeganAt = this.#now();
    this.#phaseBeganBytes = doneBytes;
    this.#bytesPerSecond = undefined;
    this.#countsBytes = false;
  }

  #measure(doneBytes: number): void {
    const seconds = (this.#now() - this.#phaseBeganAt) / 1000;
    const bytes = doneBytes - this.#phaseBeganBytes;
    if (seconds > 0 && bytes > 0) this.#bytesPerSecond = bytes / seconds;
  }

  #reach(phase: Phase, part: number): void {
    const index = this.#phases.indexOf(phase);
    if (index < 0) return;
    const before = this.#phases.slice(0, index).reduce((sum, earlier) => sum + WEIGHTS[earlier], 0);
    // A second round of erasing and writing after a failed read-back stands still instead of jumping back.
    const fraction = (before + WEIGHTS[phase] * Math.min(1, part)) / this.#total;
    this.#fraction = Math.max(this.#fraction, fraction);
  }
}
