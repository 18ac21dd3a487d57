// The daemon while the world around it falls over: Moonraker restarts or dies, the daemon is stopped or killed. The board ends with firmware that boots or says what it needs, the lines float, and Klipper runs.
import { afterAll, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import {
  begin,
  consoleHeard,
  ended,
  endedJob,
  eventsOf,
  expectKlipperAway,
  inPhase,
  isStay,
  heard,
} from './daemon-job.ts';
import { BOARD, DaemonSite } from './daemon-site.ts';
import { eventually, type PlainClient } from './real-moonraker.ts';

jest.setTimeout(60_000);

let site: DaemonSite;
let client: PlainClient;
beforeAll(async () => {
  site = await DaemonSite.start();
  client = await site.client();
  site.octopus('arm');
  site.klippySays();
}, 300_000);
beforeEach(async () => {
  if (!site.isDaemonRunning) await site.startDaemon();
});
afterAll(() => site.stop());

/** Another image each time, so that there is something to write. */
let seed = 10;
const flash = () =>
  begin(client, 'octopus.flash', { board: BOARD, image: site.image(`${++seed}.bin`, { seed }) });

/** Moonraker has the agent again, and it answers: twice, as no zombie does. */
async function agentIsBack(): Promise<void> {
  client = await eventually('Moonraker is back', () => site.client().catch(() => undefined));
  await eventually('the agent is back', async () => 'result' in (await client.agent('octopus.status')));
  expect(await client.agent('octopus.status')).toHaveProperty('result.daemon.printers.0.moonraker', 'up');
}

test('Moonraker restarts while the backup is read: the flash ends well, the agent is back and has the whole job', async () => {
  const mark = site.mark();
  const job = await flash();
  await inPhase(client, job, 'backup');
  const before = client;
  void before.ask('server.restart');
  await before.closed;
  await agentIsBack();
  expect(await ended(client, job)).toMatchObject({ state: 'done' });
  const whole = await endedJob(client, job);
  expect(whole).toMatchObject({ state: 'done', result: { verified: true, printer: 'ready' } });
  expectKlipperAway(site, mark);
  // Between them both connections heard, or the job remembers, every event.
  const all = [...eventsOf(before, job), ...eventsOf(client, job)].map(({ n }) => n as number);
  const told = whole['events'].map(({ n }: { n: number }) => n);
  expect(told[0]).toBe(1);
  expect(all).toEqual(all.toSorted((a, b) => a - b));
  expect(await consoleHeard(site, mark)).toContain('TYPE=command');
});

test('Moonraker is killed while the board is written, and started again later', async () => {
  const mark = site.mark();
  const job = await flash();
  await inPhase(client, job, 'write');
  await site.moonraker.kill();
  // The board is done without it; only Klipper waits for it.
  await site.daemon.reached(job, 'confirm');
  expect(site.isKlippyRunning).toBe(false);
  await site.moonraker.startAgain();
  await agentIsBack();
  expect(await endedJob(client, job)).toMatchObject({ state: 'done', result: { verified: true } });
  expectKlipperAway(site, mark);
  expect(await consoleHeard(site, mark)).toContain('TYPE=command');
});

test('told to stop while it writes: the write runs to its end, exit code 0, Klipper runs', async () => {
  const mark = site.mark();
  const job = await flash();
  await inPhase(client, job, 'write');
  site.daemon.signal('SIGTERM');
  expect(await ended(client, job)).toMatchObject({ state: 'done', result: { verified: true } });
  expect(await site.daemon.exited).toBe(0);
  expectKlipperAway(site, mark);
  expect(site.daemon.log.at(-1)?.msg).toBe('stopped');
  expect((await client.ask('server.extensions.list'))['result'].agents).toEqual([]);
});

test('told to stop while it holds the board in DFU mode: the board boots, exit code 0, Klipper runs', async () => {
  const mark = site.mark();
  const job = await begin(client, 'octopus.dfu_enter', { board: BOARD, hold_s: 3000 });
  await heard(client, job, 'the stay', isStay);
  site.daemon.signal('SIGTERM');
  expect(await ended(client, job)).toMatchObject({ state: 'done', result: { leftBecause: 'asked' } });
  expect(await site.daemon.exited).toBe(0);
  expectKlipperAway(site, mark);
});

test('killed while it writes: the next daemon lets the lines float, finishes the flash and starts Klipper', async () => {
  const job = await flash();
  await inPhase(client, job, 'write');
  await site.daemon.kill();
  expect(site.isKlippyRunning).toBe(false);
  const mark = { log: 0, klippy: site.klippy().length };
  await site.startDaemon();
  const ofRepair = () =>
    client.events('job').find(({ method, kind }) => method === 'octopus.repair' && kind === 'ended');
  await eventually('the repair has ended', () => ofRepair() !== undefined);
  expect(ofRepair()).toMatchObject({
    state: 'done',
    result: { outcome: 'finished', flash: { verified: true } },
  });
  await eventually('Klipper runs', () => site.isKlippyRunning);
  const { lines } = site.since(mark);
  expect(lines[0]?.isDriven).toBe(false);
  expect(lines.at(-1)?.isDriven).toBe(false);
  const { boards } = (await client.agent('octopus.status'))['result'];
  expect(boards[0]).toMatchObject({ unfinishedJob: null, replacement: null });
});
