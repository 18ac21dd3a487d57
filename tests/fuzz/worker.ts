// A fuzz target at work, in a thread of its own: whoever started it sees by `progress` which input it is at, and can end it
// where one never ends.
import { parentPort, workerData } from 'node:worker_threads';
import { inspect } from 'node:util';
import { Broken, randomFor, type Fate } from './target.ts';
import { loadTarget } from './targets.ts';

export interface Work {
  readonly name: string;
  readonly seed: number;
  /** Numbers of inputs, the last one not among them. */
  readonly from: number;
  readonly to: number;
  /** [0] the input that is being checked. */
  readonly progress: Int32Array;
}

export type Word =
  | { readonly kind: 'done'; readonly fates: ReadonlyMap<Fate, number> }
  | { readonly kind: 'failed'; readonly n: number; readonly message: string };

/** An input that takes this long is looked at again. Wall time: the machine may have been busy. */
const LOOK_MS = 200;
/** Of this thread's own processor time, for one input of at most a megabyte. What is quadratic takes minutes. */
const SLOW_MS = 2_000;

const { name, seed, from, to, progress } = workerData as Work;
const target = await loadTarget(name);
const fates = new Map<Fate, number>();
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window's
const tell = (word: Word): void => parentPort?.postMessage(word);

function inputOf(n: number): unknown {
  try {
    return target.input(randomFor(name, seed, n));
  } catch (cause) {
    throw new Error('the input itself could not be made: a fault of the target', { cause });
  }
}

async function checkOne(n: number): Promise<void> {
  const input = inputOf(n);
  const before = performance.now();
  const fate = await target.check(input);
  if (performance.now() - before > LOOK_MS) await refuseSlow(n);
  fates.set(fate, (fates.get(fate) ?? 0) + 1);
}

/** Slow is what is slow three times. */
async function refuseSlow(n: number): Promise<void> {
  let quickestMs = Infinity;
  for (let attempt = 0; attempt < 3 && quickestMs > SLOW_MS; attempt++) {
    const input = inputOf(n);
    const before = process.threadCpuUsage();
    await target.check(input);
    const { user, system } = process.threadCpuUsage(before);
    quickestMs = Math.min(quickestMs, (user + system) / 1000);
  }
  if (quickestMs > SLOW_MS) throw new Broken(`takes ${Math.round(quickestMs)} ms of processor time`);
}

const turn = () => new Promise<void>((resolve) => void setImmediate(resolve));

let at = from;
try {
  for (; at < to; at++) {
    Atomics.store(progress, 0, at);
    await checkOne(at);
    // Memory outside of the heap is given back in turns of the event loop only.
    if (at % 256 === 0) await turn();
  }
  tell({ kind: 'done', fates });
} catch (error) {
  tell({ kind: 'failed', n: at, message: inspect(error) });
}
