// Virtual bench, time: the system's own clock, for a bench that other processes talk to.

import { performance } from 'node:perf_hooks';
import { abortError, VirtualClock, type BenchClock } from './clock.ts';

interface Sleeper {
  readonly due: number;
  readonly wake: () => void;
}

/** `hasty`: virtual, for a bench beside which nothing real is under way (`Pace`). */
export type ClockKind = 'virtual' | 'hasty' | 'real';

export function clockOf(kind: ClockKind = 'virtual'): BenchClock {
  return kind === 'real' ? new RealClock() : new VirtualClock(kind === 'hasty' ? 'microtasks' : 'turns');
}

/** setTimeout takes no more; the rest is waited for in another. */
const LONGEST_MS = 2 ** 31 - 1;

export class RealClock implements BenchClock {
  /** By time, and by who slept first: two that are due in the same moment wake in that order. */
  readonly #sleepers: Sleeper[] = [];
  #timer: NodeJS.Timeout | undefined;
  #turn: NodeJS.Immediate | undefined;
  #stopped = false;

  now(): number {
    return performance.now();
  }

  date(): number {
    return Date.now();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(abortError(signal));
        return;
      }
      if (this.#stopped) return;
      const sleeper: Sleeper = {
        due: performance.now() + Math.max(0, ms),
        wake: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      const onAbort = (): void => {
        const at = this.#sleepers.indexOf(sleeper);
        if (at >= 0) this.#sleepers.splice(at, 1);
        if (at === 0) this.#rest();
        if (signal !== undefined) reject(abortError(signal));
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      const later = this.#sleepers.findLastIndex((one) => one.due <= sleeper.due) + 1;
      this.#sleepers.splice(later, 0, sleeper);
      if (later === 0) this.#rest();
    });
  }

  /** Real time cannot be stopped. */
  hold<T>(work: Promise<T>): Promise<T> {
    return work;
  }

  stop(): void {
    this.#stopped = true;
    this.#sleepers.length = 0;
    this.#rest();
  }

  /** Until the first is due. Who sleeps lets others run, so nobody wakes in the turn in which he fell asleep. */
  #rest(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#turn);
    const [first] = this.#sleepers;
    if (first === undefined) return;
    const left = first.due - performance.now();
    // setTimeout knows whole milliseconds, at least one; a chip may answer in a thousandth of that.
    if (left >= 1) this.#timer = setTimeout(() => this.#wake(), Math.min(Math.floor(left), LONGEST_MS));
    else this.#turn = setImmediate(() => this.#wake());
  }

  #wake(): void {
    const now = performance.now();
    for (let [first] = this.#sleepers; first !== undefined && first.due <= now; [first] = this.#sleepers) {
      this.#sleepers.shift();
      first.wake();
    }
    this.#rest();
  }
}
