// Jobs on a board: one at a time, every step on disk before it is done, the lock free at every end.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { OctopusError } from '../../src/errors.ts';
import {
  Journal,
  leftInBootloader,
  leftKlipperStopped,
  leftPowerOff,
  unfinishedJob,
} from '../../src/jobs/journal.ts';
import { startJob, type JobOrder } from '../../src/jobs/runner.ts';
import { createBench, type VirtualBench } from '../../src/virtual/bench.ts';

let bench: VirtualBench;
beforeEach(async () => {
  bench = await createBench();
});
afterEach(() => bench.dispose());

const BOARD = 'octopus-v1.1-f446';
const order = <R extends object>(work: JobOrder<R>['work']): JobOrder<R> => ({
  method: 'octopus.test',
  board: BOARD,
  work,
});
const pages = async () => {
  const bytes = await bench.store.read(`journal/${BOARD}.json`);
  return bytes === undefined ? undefined : JSON.parse(new TextDecoder().decode(bytes));
};

test('a second job on the same board is busy until the first has ended; another board is free', async () => {
  const gate = Promise.withResolvers<object>();
  const first = await startJob(
    bench,
    order(() => gate.promise),
  );
  expect(first.view().state).toBe('running');
  await expect(
    startJob(
      bench,
      order(async () => ({})),
    ),
  ).rejects.toMatchObject({ code: 'busy', outcome: 'busy' });
  const other = await startJob(bench, { ...order(async () => ({ other: true })), board: 'octopus-pro-f446' });
  expect(await other.ended).toEqual({ other: true });
  gate.resolve({ first: true });
  expect(await first.ended).toEqual({ first: true });
  expect(first.view()).toMatchObject({ state: 'done', result: { first: true } });
  await (
    await startJob(
      bench,
      order(async () => ({})),
    )
  ).ended;
});

test('a failure frees the lock, closes the journal and keeps the error', async () => {
  const job = await startJob(
    bench,
    order(async (kit) => {
      await kit.recorder.before({ kind: 'boot' });
      throw new OctopusError('no-boot', 'it did not', { advice: 'try' });
    }),
  );
  await expect(job.ended).rejects.toMatchObject({ code: 'no-boot' });
  expect(job.view()).toMatchObject({ state: 'failed', error: { code: 'no-boot', advice: 'try' } });
  expect(await pages()).toMatchObject({ endedAs: 'failed', steps: [{ kind: 'boot' }] });
  expect(bench.locks.holds(`board:${BOARD}`)).toBe(false);
});

test('a cancelled job ends as cancelled', async () => {
  const job = await startJob(
    bench,
    order(async (kit, _report, signal) => {
      await kit.clock.sleep(10_000, signal);
      return {};
    }),
  );
  job.cancel();
  await expect(job.ended).rejects.toMatchObject({ code: 'cancelled' });
  expect(job.view()).toMatchObject({ state: 'cancelled', cancelAsked: true });
});

test('events are told with their numbers and kept for late listeners', async () => {
  const heard: number[] = [];
  const job = await startJob(bench, {
    ...order(async (_kit, report) => {
      report({ kind: 'phase', phase: 'preflight' });
      report({ kind: 'note', text: 'hello' });
      return {};
    }),
    onEvent: ({ n }) => heard.push(n),
  });
  await job.ended;
  expect(heard).toEqual([1, 2]);
  expect(job.eventsAfter(1)).toEqual([{ kind: 'note', text: 'hello', n: 2 }]);
});

test('a disk that is slow at one step and quick at the next: both are on it, in their order', async () => {
  const write = bench.store.write.bind(bench.store);
  let writes = 0;
  const store = {
    read: (key: string) => bench.store.read(key),
    list: (prefix: string) => bench.store.list(prefix),
    remove: (key: string) => bench.store.remove(key),
    write: async (key: string, bytes: Uint8Array) => {
      writes += 1;
      await bench.clock.sleep(writes === 1 ? 100 : 1);
      await write(key, bytes);
    },
  };
  const journal = new Journal(
    { store, clock: bench.clock },
    { id: 'x', method: 'octopus.test', board: BOARD },
  );
  await Promise.all([journal.before({ kind: 'stop-klipper' }), journal.before({ kind: 'boot' })]);
  expect((await pages()).steps).toMatchObject([{ kind: 'stop-klipper' }, { kind: 'boot' }]);
});

test('a step is on disk before it is done; a step that cannot be written is not done', async () => {
  const job = await startJob(
    bench,
    order(async (kit) => {
      await kit.recorder.before({ kind: 'lines', levels: { nrst: 'low' } });
      expect(await pages()).toMatchObject({
        endedAs: null,
        steps: [{ kind: 'lines', levels: { nrst: 'low' } }],
      });
      await kit.recorder.before({ kind: 'erase', address: 0x08008000, sizeBytes: 16384 });
      expect((await pages()).steps[1]).toMatchObject({
        kind: 'erase',
        address: 0x08008000,
        sizeBytes: 16384,
      });
      bench.store.failWrites = true;
      await kit.recorder.before({ kind: 'boot' });
      return { done: true };
    }),
  );
  await expect(job.ended).rejects.toMatchObject({ code: 'store-failed' });
  expect(bench.locks.holds(`board:${BOARD}`)).toBe(false);
});

test('what a dead process did is known until another job takes a step', async () => {
  await new Journal(bench, { id: 'dead', method: 'octopus.flash', board: BOARD }).before({ kind: 'boot' });
  expect(await unfinishedJob(bench, BOARD)).toMatchObject({ job: 'dead', steps: [{ kind: 'boot' }] });
  await (
    await startJob(
      bench,
      order(async () => ({})),
    )
  ).ended;
  expect(await unfinishedJob(bench, BOARD)).toMatchObject({ job: 'dead' });
  const next = await startJob(
    bench,
    order(async (kit) => {
      await kit.recorder.before({ kind: 'stop-klipper' });
      return {};
    }),
  );
  await next.ended;
  expect(await unfinishedJob(bench, BOARD)).toBeUndefined();
});

test('steps told at once are all kept, in order', async () => {
  const journal = new Journal(bench, { id: 'j', method: 'm', board: BOARD });
  bench.store.flushMs = 5;
  await Promise.all([1, 2, 3].map((address) => journal.before({ kind: 'write', address, sizeBytes: 1 })));
  expect((await pages()).steps.map(({ address }: { address: number }) => address)).toEqual([1, 2, 3]);
});

test('a journal that cannot be read is no dead job', async () => {
  await bench.store.write(`journal/${BOARD}.json`, new TextEncoder().encode('{"job": 1'));
  expect(await unfinishedJob(bench, BOARD)).toBeUndefined();
});

test('the journal of another board is none of this one', async () => {
  await new Journal(bench, { id: 'j', method: 'm', board: 'other' }).before({ kind: 'enter' });
  const bytes = await bench.store.read('journal/other.json');
  await bench.store.write(`journal/${BOARD}.json`, bytes ?? new Uint8Array(0));
  expect(await unfinishedJob(bench, BOARD)).toBeUndefined();
  expect(await unfinishedJob(bench, 'other')).toMatchObject({ board: 'other' });
});

describe('Klipper that a job has left stopped', () => {
  const journal = (kinds: readonly ('stop-klipper' | 'start-klipper' | 'boot')[], extra = {}) => ({
    job: 'j',
    method: 'octopus.flash',
    board: 'b',
    startedAt: '2026-01-01T00:00:00.000Z',
    endedAs: null,
    steps: kinds.map((kind, index) => ({ atMs: index, kind })),
    ...extra,
  });

  test('is told from the last word about it, whether the job died or ended', () => {
    expect(leftKlipperStopped(journal(['stop-klipper', 'boot']))).toBe(true);
    const ended = { endedAs: 'done' as const };
    expect(leftKlipperStopped(journal(['stop-klipper', 'start-klipper'], ended))).toBe(false);
    // Its start failed at the end.
    expect(leftKlipperStopped(journal(['stop-klipper', 'start-klipper', 'stop-klipper'], ended))).toBe(true);
    expect(leftKlipperStopped(journal(['stop-klipper'], { klipperStarted: true }))).toBe(false);
    expect(leftKlipperStopped(journal([]))).toBe(false);
  });

  test('a job that died when its start was on record may not have started it', () => {
    const last = ['stop-klipper', 'start-klipper'] as const;
    expect(leftKlipperStopped(journal(last))).toBe(true);
    expect(leftKlipperStopped(journal(last, { klipperStarted: true }))).toBe(false);
    expect(leftKlipperStopped(journal([...last, 'boot']))).toBe(false);
  });

  test('of a board too: left in its bootloader, whether the job died or failed', () => {
    const left = (kinds: readonly ('stop-klipper' | 'enter' | 'boot')[], extra = {}) => ({
      ...journal([], { endedAs: 'failed', ...extra }),
      steps: kinds.map((kind, atMs) => ({ atMs, kind })),
    });
    expect(leftInBootloader(left(['stop-klipper']))).toBe(false);
    expect(leftInBootloader(left(['stop-klipper', 'enter']))).toBe(true);
    expect(leftInBootloader(left(['enter', 'boot']))).toBe(false);
    expect(leftInBootloader(left(['enter', 'boot', 'enter']))).toBe(true);
    expect(leftInBootloader(left(['enter', 'boot'], { endedAs: null }))).toBe(true);
    expect(leftInBootloader(left(['enter'], { settled: true }))).toBe(false);
  });

  test('so it is with a power device', () => {
    const power = (...states: ('on' | 'off')[]) => ({
      ...journal([]),
      steps: states.map((state, atMs) => ({ atMs, kind: 'power' as const, device: 'psu', state })),
    });
    expect(leftPowerOff(power('off'))).toBe('psu');
    expect(leftPowerOff(power('off', 'on'))).toBe('psu');
    expect(leftPowerOff({ ...power('off', 'on'), endedAs: 'failed' })).toBeUndefined();
    expect(leftPowerOff({ ...power('off', 'on'), powerOn: true })).toBeUndefined();
    const { steps } = journal(['start-klipper']);
    expect(leftPowerOff({ ...power(), steps: [...power('off', 'on').steps, ...steps] })).toBeUndefined();
  });
});

test('a job that has ended keeps nothing of its work: the book has twenty of them, each image may have megabytes', async () => {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  const begin = async () => {
    const image = new Uint8Array(1 << 20);
    const job = await startJob(bench, {
      ...order(async () => ({ first: image[0] })),
      onEvent: () => image.at(0),
    });
    await job.ended;
    return { job, image: new WeakRef(image) };
  };
  const { job, image } = await begin();
  for (let turn = 0; turn < 10 && image.deref() !== undefined; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (typeof collect === 'function') collect();
  }
  expect(image.deref()).toBeUndefined();
  expect(job.view()).toMatchObject({ state: 'done', result: { first: 0 } });
});
