// Runs a fuzz target in a thread with bounds: an input that does not end, or that fills the memory, is reported like any
// other that breaks what must hold.
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { randomFor, type Fate } from './target.ts';
import { loadTarget } from './targets.ts';
import type { Word, Work } from './worker.ts';

export interface Order {
  readonly name: string;
  readonly seed: number;
  readonly inputs: number;
  /** This one alone. */
  readonly only?: number | undefined;
  /** How long one input may work until it is given up; 30 s unless given, a hundred times what any needs. */
  readonly patienceMs?: number;
  /** 768 unless given: a target needs some 100 MB, and what one input makes of that must not come near. */
  readonly mostHeapMb?: number;
}

export interface Failure {
  readonly n: number;
  readonly message: string;
}

export interface Report extends Order {
  readonly seconds: number;
  readonly fates: ReadonlyMap<Fate, number>;
  readonly failure: Failure | undefined;
}

const PATIENCE_MS = 30_000;
const LOOK_MS = 500;
const MOST_HEAP_MB = 768;

export async function runTarget(order: Order): Promise<Report> {
  const { name, seed, inputs, only, patienceMs = PATIENCE_MS, mostHeapMb = MOST_HEAP_MB } = order;
  const progress = new Int32Array(new SharedArrayBuffer(4));
  const [from, to] = only === undefined ? [0, inputs] : [only, only + 1];
  const work: Work = { name, seed, from, to, progress };
  const began = performance.now();
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    workerData: work,
    resourceLimits: { maxOldGenerationSizeMb: mostHeapMb },
  });
  const { promise, resolve } = Promise.withResolvers<Word>();
  const fail = (message: string): void => resolve({ kind: 'failed', n: Atomics.load(progress, 0), message });
  worker.on('message', (word: Word) => resolve(word));
  worker.on('error', (error) => fail(`ended the thread: ${String(error)}`));
  worker.on('exit', () => fail('ended the thread without a word'));
  let [last, since, used] = [-1, began, process.cpuUsage()];
  const watch = setInterval(() => {
    const now = Atomics.load(progress, 0);
    if (now !== last) [last, since, used] = [now, performance.now(), process.cpuUsage()];
    // Of processor time where it works, of all time where it waits for nothing: the machine may be busy with others.
    const { user, system } = process.cpuUsage(used);
    const isStuck = (user + system) / 1000 > patienceMs || performance.now() - since > 10 * patienceMs;
    if (isStuck) fail(`does not end: ${patienceMs / 1000} s`);
  }, LOOK_MS);
  const word = await promise;
  clearInterval(watch);
  await worker.terminate();
  return {
    ...order,
    seconds: (performance.now() - began) / 1000,
    fates: word.kind === 'done' ? word.fates : new Map(),
    failure: word.kind === 'done' ? undefined : word,
  };
}

/** Target, seed, input and how to have it again. */
export async function explain({ name, seed, failure }: Report): Promise<string> {
  if (failure === undefined) return `${name}: nothing to explain`;
  const { n, message } = failure;
  return [
    `${name}: input ${n} of seed ${seed} breaks what must hold:`,
    message,
    `input: ${await keep(name, seed, n)}`,
    `again: npm run fuzz -- ${name} --seed ${seed} --only ${n}`,
  ].join('\n');
}

async function keep(name: string, seed: number, n: number): Promise<string> {
  const target = await loadTarget(name);
  try {
    const bytes = target.show(target.input(randomFor(name, seed, n)));
    const file = join(tmpdir(), `octopus-fuzz-${name}-${seed}-${n}`);
    writeFileSync(file, bytes);
    return `${bytes.length} bytes in ${file}, begins ${Buffer.from(bytes.subarray(0, 200)).toString('hex')}`;
  } catch (error) {
    return `could not be made: ${String(error)}`;
  }
}
