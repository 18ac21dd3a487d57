// The soak: printers of every way of flashing live in one process and are flashed in turn, thousands of times, while things go
// wrong by chance. Nothing may pile up: memory, handles of the process, timers of the clock.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { WAYS } from '../faults/ways.ts';
import { Random } from '../fuzz/random.ts';
import { SoakPrinter, type Round } from './printer.ts';

export interface SoakOrder {
  readonly flashes: number;
  readonly seed: number;
  /** Called after each flash that was not well, and at each measurement. */
  readonly onLost?: (lost: Lost) => void;
  readonly onMeasured?: (measured: Measured) => void;
}

export interface Lost extends Round {
  /** From 1. */
  readonly n: number;
  readonly way: string;
}

export interface Measured {
  readonly flashes: number;
  /** In use after a collection: JavaScript's objects, and the bytes that lie beside them. */
  readonly heapBytes: number;
  readonly buffersBytes: number;
  /** Of the event loop. */
  readonly handles: number;
  readonly sleepers: number;
}

export interface SoakReport {
  readonly tally: ReadonlyMap<string, number>;
  readonly lost: readonly Lost[];
  readonly measured: readonly Measured[];
  readonly starts: number;
}

/** So often in a run. */
const MEASUREMENTS = 20;

export async function soak({ flashes, seed, onLost, onMeasured }: SoakOrder): Promise<SoakReport> {
  const printers = await Promise.all(
    WAYS.map((way, index) => SoakPrinter.open(way, new Random(seed, index))),
  );
  const [tally, lost, measured]: [Map<string, number>, Lost[], Measured[]] = [new Map(), [], []];
  const every = Math.max(1, Math.floor(flashes / MEASUREMENTS));
  for (let n = 1; n <= flashes; n++) {
    const printer = printers[(n - 1) % printers.length];
    if (printer === undefined) continue;
    const round = await printer.flash();
    const what = `${round.fault}: ${round.ending}`;
    tally.set(what, (tally.get(what) ?? 0) + 1);
    if (round.problems.length > 0) {
      const told = { n, way: printer.way.name, ...round };
      lost.push(told);
      onLost?.(told);
    }
    if (n % every !== 0) continue;
    const now = measure(n, printers);
    measured.push(now);
    onMeasured?.(now);
  }
  const starts = printers.reduce((sum, printer) => sum + printer.starts, 0);
  for (const printer of printers) await printer.close();
  return { tally, lost, measured, starts };
}

const collect = collector();

function measure(flashes: number, printers: readonly SoakPrinter[]): Measured {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return {
    flashes,
    heapBytes: heapUsed,
    buffersBytes: external,
    handles: process.getActiveResourcesInfo().length,
    sleepers: printers.reduce((sum, { sleepers }) => sum + sleepers, 0),
  };
}

function collector(): () => void {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  if (typeof gc !== 'function') throw new Error('this Node gives nobody its garbage collector');
  return () => void gc();
}

/**
 * How much more `value` is in the last quarter of a run than in its second, per thousand flashes; the first quarter warms up.
 * Of each quarter the least counts: what is collected late is no leak.
 */
export function growth(measured: readonly Measured[], value: (one: Measured) => number): number {
  const quarter = Math.floor(measured.length / 4);
  const least = (part: readonly Measured[]) =>
    part.reduce((best, one) => (value(one) < value(best) ? one : best), part[0] as Measured);
  const second = least(measured.slice(quarter, 2 * quarter));
  const last = least(measured.slice(-quarter));
  return ((value(last) - value(second)) * 1000) / (last.flashes - second.flashes);
}
