// Virtual bench, time: a clock that stands still while anybody works and jumps when everybody sleeps.

import type { Clock } from '../ports/clock.ts';

interface Sleeper {
  readonly at: number;
  readonly order: number;
  readonly wake: () => void;
}

/**
 * Turns of the event loop without a new sleeper before time jumps. One is enough for promises, since all
 * microtasks run between two turns; the others cover code that hops through setImmediate itself.
 */
const IDLE_TURNS = 4;

/**
 * How the clock waits for those who work to fall asleep. `turns`: the event loop turns meanwhile. `microtasks`: it does not,
 * which is several times faster and right only where nothing real (a file, a socket, a timer) is under way beside the bench.
 */
export type Pace = 'turns' | 'microtasks';

/** 2026-01-01T00:00:00Z: records made on the bench have the same date in every run. */
const EPOCH_MS = 1_767_225_600_000;

export class VirtualClock implements Clock {
  #now = 0;
  #order = 0;
  #holds = 0;
  #idleTurns = 0;
  #pumping = false;
  #stopped = false;
  readonly #sleepers: Sleeper[] = [];
  readonly #idleTurnsMost: number;
  readonly #next: (turn: () => void) => void;

  constructor(pace: Pace = 'turns') {
    this.#idleTurnsMost = pace === 'turns' ? IDLE_TURNS : 1;
    // A tick that is asked for by a microtask comes when no microtask is left.
    this.#next =
      pace === 'turns'
        ? (turn) => void setImmediate(turn)
        : (turn) => queueMicrotask(() => process.nextTick(turn));
  }

  now(): number {
    return this.#now;
  }

  date(): number {
    return EPOCH_MS + Math.floor(this.#now);
  }

  /** How many wait; for tests that look for a forgotten timer. */
  get sleepers(): number {
    return this.#sleepers.length;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(abortError(signal));
        return;
      }
      const onAbort = (): void => {
        this.#remove(sleeper);
        if (signal !== undefined) reject(abortError(signal));
      };
      const sleeper: Sleeper = {
        at: this.#now + (ms > 0 ? ms : 0),
        order: this.#order++,
        wake: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#insert(sleeper);
      this.#stir();
    });
  }

  /** Runs `action` after `ms`; the returned function calls it off. */
  after(ms: number, action: () => void): () => void {
    const sleeper: Sleeper = {
      at: this.#now + (ms > 0 ? ms : 0),
      order: this.#order++,
      wake: action,
    };
    this.#insert(sleeper);
    this.#stir();
    return () => this.#remove(sleeper);
  }

  /** Stops time while something real is under way: a file, a child process, a socket. */
  async hold<T>(work: Promise<T>): Promise<T> {
    this.#holds++;
    try {
      return await work;
    } finally {
      this.#holds--;
      this.#stir();
    }
  }

  /** Time ends here: nobody wakes any more, so nothing keeps the process alive. */
  stop(): void {
    this.#stopped = true;
    this.#sleepers.length = 0;
  }

  /** Sorted by time, then by who slept first: two runs wake in the same order. */
  #insert(sleeper: Sleeper): void {
    let low = 0;
    let high = this.#sleepers.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#sleepers[middle];
      if (other !== undefined && other.at <= sleeper.at) low = middle + 1;
      else high = middle;
    }
    this.#sleepers.splice(low, 0, sleeper);
  }

  #remove(sleeper: Sleeper): void {
    const index = this.#sleepers.indexOf(sleeper);
    if (index >= 0) this.#sleepers.splice(index, 1);
  }

  #stir(): void {
    this.#idleTurns = 0;
    // With nobody asleep, or time on hold, no turn is scheduled: the process may end.
    if (this.#pumping || this.#stopped || this.#holds > 0 || this.#sleepers.length === 0) return;
    this.#pumping = true;
    this.#next(this.#turn);
  }

  readonly #turn = (): void => {
    // Whoever wakes here may sleep again at once: no second pump is started for him.
    if (!this.#stopped && this.#holds === 0) {
      this.#idleTurns++;
      if (this.#idleTurns >= this.#idleTurnsMost) this.#wakeFirst();
    }
    this.#pumping = !this.#stopped && this.#holds === 0 && this.#sleepers.length > 0;
    if (this.#pumping) this.#next(this.#turn);
  };

  #wakeFirst(): void {
    this.#idleTurns = 0;
    const first = this.#sleepers.shift();
    if (first === undefined) return;
    this.#now = first.at;
    first.wake();
  }
}

export function abortError(signal: AbortSignal): Error {
  const error = new Error('the sleep was aborted', { cause: signal.reason });
  error.name = 'AbortError';
  return error;
}

/** What the bench needs of a clock, virtual or real. */
export interface BenchClock extends Clock {
  hold<T>(work: Promise<T>): Promise<T>;
  stop(): void;
}

/** Runs `action` after `ms`; the returned function calls it off. */
export function after(clock: Clock, ms: number, action: () => void): () => void {
  if (clock instanceof VirtualClock) return clock.after(ms, action);
  const abort = new AbortController();
  clock.sleep(ms, abort.signal).then(action, (error: unknown) => {
    if (!(error instanceof Error) || error.name !== 'AbortError') throw error;
  });
  return () => abort.abort();
}
