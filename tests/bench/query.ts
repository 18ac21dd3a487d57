// How long octopus.canbus_query takes, in real time on the virtual bus, beside what the others always take.
import { askUnassigned } from '../../src/flash/canbus-query.ts';
import { createBench, type BenchOptions } from '../../src/virtual/bench.ts';

/** What is on the bus, and how Klipper's and Katapult's own tools would wait. */
export interface QueryRow {
  readonly what: string;
  readonly found: number;
  /** From the last answer to the end, ms; null where nobody answered. */
  readonly afterLastMs: number | null;
  readonly totalMs: number;
}

/**
 * Fixed waits: Klipper scripts/canbus_query.py listens 2.0 s (query_unassigned); Katapult scripts/flashtool.py -q
 * sleeps 0.5 s after its reset of all ids and then listens 2.0 s (klipper-katapult-dfu.md sections 4 and 6).
 */
export const OTHERS_MS = { 'canbus_query.py': 2000, 'flashtool.py -q': 2500 } as const;

const eight = Array.from({ length: 8 }, () => ({}));
const BUSES: readonly (readonly [string, BenchOptions])[] = [
  ['8 nodes', { can: { nodes: eight } }],
  ['8 nodes behind a bridge', { state: 'bridge', can: { nodes: eight } }],
  ['one that has an id', { can: { nodes: [{ nodeId: 4 }] } }],
  ['nobody to acknowledge', { can: { nodes: [] } }],
];

export async function measureQueries(): Promise<readonly QueryRow[]> {
  const rows: QueryRow[] = [];
  for (const [what, options] of BUSES) {
    const bench = await createBench({ ...options, clock: 'real' });
    let lastAt: number | undefined;
    const witness = await bench.can.open('can0');
    witness.onFrame(({ id }) => {
      if (id === 0x3f1) lastAt = performance.now();
    });
    const startedAt = performance.now();
    const { nodes } = await askUnassigned(bench, 'can0');
    const endedAt = performance.now();
    rows.push({
      what,
      found: nodes.length,
      afterLastMs: lastAt === undefined ? null : endedAt - lastAt,
      totalMs: endedAt - startedAt,
    });
    await witness.close();
    bench.dispose();
  }
  return rows;
}

export function queryLines(rows: readonly QueryRow[]): readonly string[] {
  const others = Object.entries(OTHERS_MS).map(([name, ms]) => `${name}: ${ms.toFixed(0)} ms always`);
  return [
    `A CAN query, in real time (limits 300 ms after the last answer, 1000 ms in all; ${others.join(', ')}):`,
    ...rows.map(({ what, found, afterLastMs, totalMs }) => {
      const after = afterLastMs === null ? 'no answer' : `${afterLastMs.toFixed(0)} ms after the last answer`;
      return `${what.padEnd(32)} ${`${found} answered`.padEnd(12)} ${after.padEnd(28)} ${totalMs.toFixed(0)} ms in all`;
    }),
  ];
}
