// What the tests of the daemon share: a desk over a virtual bench in virtual time, and what it noted.
import type { AuditedOutcome, AuditedRequest } from '../../src/daemon/audit.ts';
import { Desk, type DeskParts } from '../../src/daemon/desk.ts';
import type { Origin, Via } from '../../src/daemon/origin.ts';
import type { JobEvent } from '../../src/jobs/job.ts';
import { modelBoards } from '../../src/methods/boards.ts';
import { createBench, type BenchOptions, type VirtualBench } from '../../src/virtual/bench.ts';
import { forgeKlipper } from '../../src/virtual/forge.ts';
import { PINS } from '../support/bench.ts';

export const BOARD = 'octopus-v1.1-f446';
export const from = (via: Via): Origin => ({ via, printer: via === 'local' ? undefined : 'printer' });
export const NEWER = forgeKlipper({
  mcu: 'stm32f446xx',
  linkAddress: 0x0800_8000,
  version: 'v0.13.0-1-gabcdef0',
});

export interface TestDesk {
  readonly bench: VirtualBench;
  readonly desk: Desk;
  readonly noted: (AuditedRequest & { readonly outcome: AuditedOutcome })[];
  readonly ended: object[];
  readonly told: JobEvent[];
  /** The job of that id once it has ended. */
  readonly endOf: (answer: object) => Promise<ReturnType<Desk['jobs']['get']>>;
}

export async function openDesk(
  parts: Partial<DeskParts> = {},
  options: BenchOptions = { can: {} },
): Promise<TestDesk> {
  const bench = await createBench({ board: BOARD, ...options });
  const noted: TestDesk['noted'] = [];
  const ended: object[] = [];
  const told: JobEvent[] = [];
  const desk = new Desk({
    boards: modelBoards(PINS, { heaters: { kind: 'unused' }, onlyBoard: BOARD }),
    kitFor: () => bench,
    images: () => ({
      read: async () => ({ kind: 'file', file: { name: 'klipper.bin', bytes: NEWER } }),
    }),
    isArmed: async () => true,
    facts: async () => ({ version: '0', isArmed: true, printers: [] }),
    audit: {
      request: (request, outcome) => noted.push({ ...request, outcome }),
      ended: (job, how) => ended.push({ method: job.method, ...how }),
    },
    ...parts,
  });
  desk.onJobEvent((event) => told.push(event));
  const endOf: TestDesk['endOf'] = async (answer) => {
    if (!('job' in answer)) throw new Error('no job was answered');
    const id = String(answer.job);
    await Promise.allSettled(desk.jobs.running().map((job) => job.ended));
    return desk.jobs.get(id);
  };
  return { bench, desk, noted, ended, told, endOf };
}
