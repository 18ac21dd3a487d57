// Virtual bench, time: the system's own clock, for a bench that other processes talk to.

import { performance } from 'node:perf_hooks';
import { abortError, type BenchClock } from './clock.ts';

export class RealClock implements BenchClock {
  readonly #pending = new Set<NodeJS.Timeout>();
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
      const onAbort = (): void => {
        clearTimeout(timer);
        this.#pending.delete(timer);
        if (signal !== undefined) reject(abortError(signal));
      };
      const timer = setTimeout(
        () => {
          this.#pending.delete(timer);
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
        Math.max(0, ms),
      );
      this.#pending.add(timer);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Real time cannot be stopped. */
  hold<T>(work: Promise<T>): Promise<T> {
    return work;
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#pending) clearTimeout(timer);
    this.#pending.clear();
  }
}
