// The gate on a real Moonraker: a printer that works or is hot is left alone, one that cannot tell needs somebody's word.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { begin, consoleHeard, ended, expectKlipperAway, expectUntouched } from './daemon-job.ts';
import { BOARD, DaemonSite } from './daemon-site.ts';
import { eventually, type PlainClient } from './real-moonraker.ts';

jest.setTimeout(60_000);

let site: DaemonSite;
let client: PlainClient;
let image: string;
beforeAll(async () => {
  site = await DaemonSite.start();
  image = site.image('klipper.bin');
  client = await site.client();
  site.octopus('arm');
  await site.startDaemon();
}, 300_000);
afterAll(() => site.stop());

test.each([
  ['a print', { print_stats: { state: 'printing' } }, /a print is running/],
  ['a paused print', { pause_resume: { is_paused: true } }, /a print is paused/],
  ['homing', { idle_timeout: { state: 'Printing' } }, /moving/],
  ['a heater that is on', { heater_bed: { target: 60, temperature: 22 } }, /heater_bed is set to 60 C/],
  ['a hot nozzle', { extruder: { target: 0, temperature: 51 } }, /extruder is at 51 C/],
])('%s closes the gate, whatever is confirmed', async (_what, objects, message) => {
  const mark = site.mark();
  site.klippySays({}, objects);
  for (const [method, more] of [
    ['octopus.flash', { image, confirm: ['cold', 'still', 'heaters_unplugged'] }],
    ['octopus.reset', {}],
  ] as const) {
    const job = await begin(client, method, { board: BOARD, ...more });
    expect(await ended(client, job)).toMatchObject({
      state: 'failed',
      error: { code: 'gate-closed', message: expect.stringMatching(message) },
    });
  }
  expectUntouched(site, mark);
});

test('Klipper in error: refused until the caller has looked, then flashed', async () => {
  site.klippySays({ state: 'error', message: 'MCU Protocol error' });
  await client.ask('machine.services.restart', { service: 'klipper' });
  await eventually('Klipper is in error', async () => {
    const { result } = await client.ask('server.info');
    return result?.klippy_state === 'error';
  });
  const mark = site.mark();
  for (const [confirm, missing] of [
    [[], 'cold'],
    [['cold'], 'still'],
    [['still'], 'cold'],
  ] as const) {
    const refused = await begin(client, 'octopus.flash', { board: BOARD, image, confirm });
    expect(await ended(client, refused)).toMatchObject({
      state: 'failed',
      error: {
        code: 'needs-confirmation',
        message: expect.stringContaining('"error"'),
        advice: expect.stringContaining(`confirm: ${missing}`),
      },
    });
  }
  expectUntouched(site, mark);
  site.klippySays();
  const now = site.mark();
  const job = await begin(client, 'octopus.flash', {
    board: BOARD,
    image,
    confirm: ['cold', 'still'],
  });
  expect(await ended(client, job)).toMatchObject({
    state: 'done',
    result: { verified: true, printer: 'ready' },
  });
  expectKlipperAway(site, now);
});

test('a Klipper that needs 7 s to end, longer than Moonraker waits for its command: no line moves before', async () => {
  const mark = site.mark();
  site.klippySays({ stopMs: 7000 });
  const job = await begin(client, 'octopus.reset', { board: BOARD });
  expect(await ended(client, job)).toMatchObject({ state: 'done' });
  await consoleHeard(site, mark);
  expectKlipperAway(site, mark);
});
