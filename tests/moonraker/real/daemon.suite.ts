// The daemon as it runs on a printer: jobs that clients of Moonraker ask for, on the virtual board, to each of their ends.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import {
  begin,
  consoleHeard,
  ended,
  endedJob,
  eventsOf,
  expectKlipperAway,
  expectWhole,
  heard,
  inPhase,
  isStay,
} from './daemon-job.ts';
import { BOARD, DaemonSite } from './daemon-site.ts';
import { NEW_KLIPPER } from '../../../src/virtual/forge.ts';
import { eventually, type PlainClient } from './real-moonraker.ts';

jest.setTimeout(60_000);

let site: DaemonSite;
let client: PlainClient;
let other: PlainClient;
let image: string;
beforeAll(async () => {
  site = await DaemonSite.start();
  image = site.image('klipper.bin');
  client = await site.client();
  other = await site.client();
  site.octopus('arm');
  await site.startDaemon();
  site.klippySays();
}, 300_000);
afterAll(() => site.stop());

test('cancelled while it reads the backup: the old firmware boots, Klipper runs again', async () => {
  const mark = site.mark();
  const job = await begin(client, 'octopus.flash', { board: BOARD, image });
  await inPhase(client, job, 'backup');
  expect((await client.agent('octopus.job_cancel', { job }))['result']).toMatchObject({
    cancelAsked: true,
  });
  expect(await ended(other, job)).toMatchObject({ state: 'cancelled', error: { code: 'cancelled' } });
  expectWhole(eventsOf(other, job), await endedJob(client, job));
  expect(await consoleHeard(site, mark)).toContain('was cancelled');
  expectKlipperAway(site, mark);
});

test('cancelled while it enters DFU mode: the same', async () => {
  const mark = site.mark();
  const job = await begin(client, 'octopus.flash', { board: BOARD, image });
  await inPhase(client, job, 'enter');
  await client.agent('octopus.job_cancel', { job });
  expect(await ended(other, job)).toMatchObject({ state: 'cancelled' });
  expect(await consoleHeard(site, mark)).toContain('was cancelled');
  expectKlipperAway(site, mark);
});

test('an image that the board itself refuses: nothing erased, Klipper runs again', async () => {
  const mark = site.mark();
  const bare = site.image('bare.bin', { linkAddress: 0x0800_0000 });
  const job = await begin(client, 'octopus.flash', { board: BOARD, image: bare });
  expect(await ended(other, job)).toMatchObject({
    state: 'failed',
    error: { code: 'bootloader-would-be-lost' },
  });
  expect(eventsOf(other, job).map(({ phase }) => phase)).not.toContain('erase');
  expect(await consoleHeard(site, mark)).toMatch(/TYPE=error.*failed/);
  expectKlipperAway(site, mark);
});

test('a flash: a second client sees every event, Klipper is away all the time, the console hears the end', async () => {
  const mark = site.mark();
  const job = await begin(client, 'octopus.flash', { board: BOARD, image });
  await inPhase(client, job, 'stop');
  expect(await client.agent('octopus.flash', { board: BOARD, image })).toMatchObject({
    error: { data: { code: -32002, data: { code: 'busy' } } },
  });
  expect((await client.agent('octopus.status'))['result'].jobs).toHaveLength(1);
  const end = await ended(other, job);
  expect(end).toMatchObject({
    state: 'done',
    result: { state: 'done', verified: true, version: NEW_KLIPPER, printer: 'ready', board: BOARD },
  });
  const whole = await endedJob(client, job);
  expect(whole['result']).toEqual(end['result']);
  expectWhole(eventsOf(other, job), whole);
  expect(await consoleHeard(site, mark)).toMatch(new RegExp(`^RESPOND TYPE=command .*${NEW_KLIPPER}`, 's'));
  expectKlipperAway(site, mark);
});

test('somebody else starts Klipper in the middle: noticed, stopped again, and the flash ends well', async () => {
  const mark = site.mark();
  const job = await begin(client, 'octopus.flash', {
    board: BOARD,
    image: site.image('two.bin', { seed: 2 }),
  });
  await inPhase(client, job, 'erase');
  await other.ask('machine.services.start', { service: 'klipper' });
  const note = await heard(client, job, 'the note', ({ text }) => /somebody else/.test(text));
  expect(await ended(client, job)).toMatchObject({ state: 'done', result: { verified: true } });
  expect((await endedJob(client, job))['result'].notes).toContain(note['text']);
  const course = site.since(mark).klippy.filter(({ what }) => what === 'ended' || what === 'started');
  expect(course.map(({ what }) => what)).toEqual(['ended', 'started', 'ended', 'started']);
});

test('DFU mode is held for the time asked for, and no longer', async () => {
  const mark = site.mark();
  const job = await begin(client, 'octopus.dfu_enter', { board: BOARD, hold_s: 1 });
  const since = await heard(client, job, 'the stay', isStay).then(Date.now);
  expect(await ended(client, job)).toMatchObject({
    state: 'done',
    result: { leftBecause: 'time', busPath: expect.any(String) },
  });
  expect(Date.now() - since).toBeGreaterThan(900);
  await consoleHeard(site, mark);
  expectKlipperAway(site, mark);
});

test('DFU mode ends at once when it is cancelled', async () => {
  const mark = site.mark();
  const job = await begin(client, 'octopus.dfu_enter', { board: BOARD, hold_s: 3000 });
  await heard(client, job, 'the stay', isStay);
  await client.agent('octopus.job_cancel', { job });
  expect(await ended(client, job)).toMatchObject({ state: 'done', result: { leftBecause: 'asked' } });
  await consoleHeard(site, mark);
  expectKlipperAway(site, mark);
  await eventually(
    'Klipper is ready',
    async () => (await client.agent('octopus.status'))['result'].boards[0].klipper === 'ready',
  );
});
