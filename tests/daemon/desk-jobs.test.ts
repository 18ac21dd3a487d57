// The desk's jobs: one at a board, every request and every end in the audit, and how the desk closes.
import { afterEach, expect, test } from '@jest/globals';
import type { DeskParts } from '../../src/daemon/desk.ts';
import { failureOf } from '../support/bench.ts';
import { BOARD, from, openDesk, type TestDesk } from './house.ts';

let open: TestDesk[] = [];
async function start(parts: Partial<DeskParts> = {}): Promise<TestDesk> {
  const house = await openDesk(parts);
  open.push(house);
  return house;
}
afterEach(() => {
  for (const { bench } of open) bench.dispose();
  open = [];
});
const unarmed = { isArmed: async () => false };

test('a board that is busy refuses the second job and keeps the first', async () => {
  const { desk, endOf } = await start();
  const first = await desk.call('octopus.dfu_enter', { hold_s: 30 }, from('local'));
  expect(await failureOf(desk.call('octopus.flash', { image: 'x' }, from('request')))).toMatchObject({
    code: 'busy',
    outcome: 'busy',
  });
  expect(await endOf(first)).toMatchObject({ state: 'done' });
});

test('every request is in the audit with its outcome, and every job with its end', async () => {
  const { desk, endOf, noted, ended } = await start();
  const wrong: Readonly<Record<string, unknown>> = { bord: 'x' };
  await failureOf(desk.call('octopus.status', wrong, from('macro')));
  await failureOf(desk.call('octopus.nothing', {}, from('request')));
  await desk.call('octopus.status', {}, from('request'));
  const { job } = (await desk.call('octopus.reset', {}, from('shell'))) as { job: string };
  await endOf({ job });
  await desk.close();
  expect(noted).toMatchObject([
    {
      origin: from('macro'),
      method: 'octopus.status',
      params: wrong,
      outcome: { kind: 'refused', error: { code: 'unknown-parameter' } },
    },
    { method: 'octopus.nothing', outcome: { kind: 'refused', error: { code: 'unknown-method' } } },
    { origin: from('request'), method: 'octopus.status', outcome: { kind: 'answered' } },
    { origin: from('shell'), method: 'octopus.reset', outcome: { kind: 'job', job } },
  ]);
  expect(ended).toEqual([{ method: 'octopus.reset', outcome: 'done' }]);
  const refused = await start(unarmed);
  await failureOf(refused.desk.call('octopus.flash', { image: 'x' }, from('macro')));
  expect(refused.noted).toMatchObject([{ outcome: { kind: 'refused', error: { code: 'not-armed' } } }]);
});

test('events are told in order to all, the end last; a listener that fails costs nobody anything', async () => {
  const faults: unknown[] = [];
  const { desk, bench, told } = await start({ onFault: (fault) => faults.push(fault) });
  const also: string[] = [];
  desk.onJobEvent(() => {
    throw new Error('no ears');
  });
  desk.onJobEvent(({ kind }) => also.push(kind));
  const { job } = (await desk.call('octopus.flash', { image: 'x' }, from('request'))) as { job: string };
  await desk.jobs.running()[0]?.ended;
  await bench.clock.sleep(1);
  expect(desk.jobs.get(job)).toMatchObject({ state: 'done', result: { verified: true } });
  expect(also).toEqual(told.map(({ kind }) => kind));
  expect(also.at(-1)).toBe('ended');
  expect(also.filter((kind) => kind === 'ended')).toHaveLength(1);
  const numbers = told.map(({ n }) => n);
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  expect(faults).toHaveLength(told.length);
});

test('closing: what runs is cancelled and awaited, what comes is refused', async () => {
  const { desk, bench, ended, told } = await start();
  await desk.call('octopus.dfu_enter', { hold_s: 3000 }, from('local'));
  await bench.clock.sleep(5000);
  const before = bench.clock.now();
  const closed = desk.close();
  expect(await failureOf(desk.call('octopus.reset', {}, from('local')))).toMatchObject({
    code: 'busy',
    message: 'the daemon is stopping',
  });
  await closed;
  expect(bench.clock.now() - before).toBeLessThan(100_000);
  expect(desk.jobs.running()).toEqual([]);
  expect(bench.printer.serviceRunning).toBe(true);
  expect(Object.values(bench.lines.pins())).toEqual(['floating', 'floating']);
  expect(ended).toMatchObject([{ method: 'octopus.dfu_enter' }]);
  expect(told.at(-1)?.kind).toBe('ended');
  // Questions are answered until the socket closes.
  expect(await desk.call('octopus.job_list', {}, from('local'))).toMatchObject({ jobs: [{ board: BOARD }] });
});

test('closing while a job is being started: it is awaited as well', async () => {
  const gate = Promise.withResolvers<void>();
  const { desk, bench, told, ended } = await start();
  const acquire = bench.locks.acquire.bind(bench.locks);
  bench.locks.acquire = async (name) => {
    await gate.promise;
    return acquire(name);
  };
  const asked = desk.call('octopus.dfu_enter', { hold_s: 3000 }, from('local'));
  const closed = desk.close();
  const first = await Promise.race([closed.then(() => 'closed'), bench.clock.sleep(100).then(() => 'waits')]);
  expect(first).toBe('waits');
  gate.resolve();
  const { job } = (await asked) as { job: string };
  await closed;
  expect(desk.jobs.get(job)).toMatchObject({ state: 'cancelled' });
  expect(bench.locks.holds(`board:${BOARD}`)).toBe(false);
  expect(ended).toMatchObject([{ outcome: 'cancelled', code: 'cancelled' }]);
  expect(told.at(-1)).toMatchObject({ kind: 'ended', job });
});
