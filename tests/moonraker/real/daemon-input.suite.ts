// What the daemon answers to requests that come through Moonraker: unarmed and to input that is
// wrong. Nothing is touched.
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NEW_KLIPPER } from '../../../src/virtual/forge.ts';
import {
  begin,
  consoleHeard,
  ended,
  endedJob,
  eventsOf,
  expectUntouched,
  expectWhole,
} from './daemon-job.ts';
import { BOARD, DaemonSite } from './daemon-site.ts';
import type { PlainClient } from './real-moonraker.ts';

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
  writeFileSync(join(site.firmware, '../secret.bin'), 'secret');
  symlinkSync('../secret.bin', join(site.firmware, 'link.bin'));
  symlinkSync('..', join(site.firmware, 'out'));
  await site.startDaemon();
}, 300_000);
afterAll(() => site.stop());

const agents = async () => (await client.ask('server.extensions.list'))['result'].agents;

const of = (named: unknown, more: object = {}) => ({ board: BOARD, image: named, ...more });

describe('unarmed', () => {
  test('it is listed as agent octopus', async () => {
    expect(await agents()).toEqual([expect.objectContaining({ name: 'octopus', type: 'agent' })]);
  });

  test('whatever changes a board is refused, with the cure', async () => {
    const mark = site.mark();
    const changing = {
      flash: { board: BOARD, image },
      dfu_enter: { board: BOARD, hold_s: 1 },
      reset: { board: BOARD },
      backup: { board: BOARD },
      restore: { board: BOARD, backup: 'abcdef' },
    };
    for (const [name, params] of Object.entries(changing)) {
      expect(await client.agent(`octopus.${name}`, params)).toMatchObject({
        error: {
          code: 424,
          data: {
            code: -32001,
            message: expect.stringContaining('octopus arm'),
            data: { code: 'not-armed', advice: expect.stringContaining('octopus arm') },
          },
        },
      });
    }
    expectUntouched(site, mark);
    const audit = readFileSync(join(site.moonraker.folder, 'octopus-flasher/audit.log'), 'utf8');
    expect(audit.match(/"via":"request".*"code":"not-armed"/g)).toHaveLength(5);
  });

  test('a dry run is not refused: it plans and touches nothing', async () => {
    const mark = site.mark();
    const job = await begin(client, 'octopus.flash', { board: BOARD, image, dry_run: true });
    expect(await ended(client, job)).toMatchObject({ state: 'done', result: { state: 'planned' } });
    expectWhole(eventsOf(other, job), await endedJob(client, job));
    expect(await consoleHeard(site, mark)).toContain('Nothing was touched');
    expectUntouched(site, mark);
  });

  test('whatever only looks is answered', async () => {
    expect((await client.agent('octopus.status'))['result']).toMatchObject({
      boards: [{ board: BOARD, klipper: 'ready' }],
      daemon: { isArmed: false, printers: [{ moonraker: 'up' }] },
    });
    expect((await client.agent('octopus.inspect', { image }))['result']).toMatchObject({
      kind: 'klipper',
      version: NEW_KLIPPER,
    });
    expect((await client.agent('octopus.backups', { board: BOARD }))['result']).toMatchObject({
      backups: [],
    });
    const { jobs } = (await client.agent('octopus.job_list'))['result'];
    expect(jobs).toHaveLength(1);
    expect((await client.agent('octopus.job_get', { job: jobs[0].id }))['result'].state).toBe('done');
    // Not for want of the owner's leave.
    expect(await client.agent('octopus.canbus_query')).toMatchObject({
      error: { data: { data: { code: 'no-hardware', message: 'can0 is absent' } } },
    });
  });
});

describe('armed, and asked for nonsense', () => {
  beforeAll(() => void site.octopus('arm'));

  const USAGE = -32602;
  const CODES: Record<string, number> = { 'unknown-method': -32601, 'image-unknown-kind': -32001 };
  const proto = JSON.parse(`{"board":"${BOARD}","__proto__":{"a":1}}`);

  test.each<[string, string, unknown, string, RegExp]>([
    ['a number for a board', 'flash', { board: 5, image: 'x' }, 'bad-parameter', /a text/],
    ['a list for an image', 'flash', of(['x']), 'bad-parameter', /a text/],
    ['an empty image', 'flash', of(''), 'bad-parameter', /not empty/],
    ['a NUL in a path', 'flash', of('/a\0b'), 'bad-parameter', /a text/],
    ['a word for a flag', 'flash', of('/x', { dry_run: 'maybe' }), 'bad-parameter', /true or false/],
    ['a wrong confirmation', 'flash', of('/x', { confirm: ['warm'] }), 'bad-parameter', /cold/],
    ['a word for seconds', 'dfu_enter', { board: BOARD, hold_s: 'soon' }, 'bad-parameter', /seconds/],
    ['too many seconds', 'dfu_enter', { board: BOARD, hold_s: 1e9 }, 'bad-parameter', /3600/],
    ['a list for an object', 'reset', [BOARD], 'bad-parameter', /as an object/],
    ['an unknown parameter', 'reset', { board: BOARD, bord: 1 }, 'unknown-parameter', /board/],
    ['__proto__', 'reset', proto, 'unknown-parameter', /board/],
    ['an unknown board', 'reset', { board: 'octopus' }, 'unknown-board', /octopus-v1.1-f446/],
    ['an unknown job', 'job_cancel', { job: 'j' }, 'unknown-job', /job_list/],
    ['a relative path', 'flash', of('klipper.bin'), 'bad-parameter', /whole path/],
    ['uploads, while they are off', 'flash', of('upload:a.bin'), 'bad-parameter', /allow_uploads/],
    ['too much force', 'flash', of('/x', { force: ['unknown-kind'] }), 'image-unknown-kind', /host/],
    ['an unknown method', 'flahs', {}, 'unknown-method', /Did you mean octopus.flash/],
    ['what only the host may', 'lines_release', { board: BOARD }, 'unknown-method', /octopus.flash/],
  ])('%s', async (_what, method, params, word, cure) => {
    const mark = site.mark();
    expect(await client.agent(`octopus.${method}`, params)).toMatchObject({
      error: {
        code: 424,
        data: {
          code: CODES[word] ?? USAGE,
          message: expect.stringMatching(/^.+\[[a-z-]+\]$/s),
          data: { code: word, message: expect.any(String), advice: expect.stringMatching(cure) },
        },
      },
    });
    expectUntouched(site, mark);
  });

  test.each([
    ['by ..', () => join(site.firmware, '..') + '/secret.bin'],
    ['by .. behind an allowed file', () => `${site.firmware}/x/../../secret.bin`],
    ['by a link', () => join(site.firmware, 'link.bin')],
    ['by a link to a folder', () => join(site.firmware, 'out/secret.bin')],
    ['plainly', () => '/etc/passwd'],
    ['a folder', () => site.firmware],
    ['what is not there', () => '/root/no/such/file'],
  ])('a path outside of the folders, %s', async (_how, path) => {
    const mark = site.mark();
    const answer = await client.agent('octopus.flash', { board: BOARD, image: path() });
    expect(answer).toMatchObject({
      error: {
        data: {
          code: USAGE,
          data: { code: 'bad-parameter', advice: expect.stringContaining(site.firmware) },
        },
      },
    });
    expect(answer['error'].data.data.message).toContain('in no allowed folder');
    expect(await client.agent('octopus.inspect', { image: path() })).toMatchObject({
      error: { data: { data: { code: 'bad-parameter' } } },
    });
    expectUntouched(site, mark);
  });

  test('a backup that is not there: the job ends before it has begun', async () => {
    const mark = site.mark();
    const job = await begin(client, 'octopus.restore', { board: BOARD, backup: '../../etc/passwd' });
    expect(await ended(other, job)).toMatchObject({ state: 'failed', error: { code: 'unknown-backup' } });
    expectUntouched(site, mark);
  });

  test('9 MiB of an argument: refused in few words', async () => {
    const mark = site.mark();
    const long = 'x'.repeat(9 << 20);
    for (const params of [{ board: BOARD, image: long }, { board: long }, { [long]: 1 }, [long]]) {
      const answer = await client.agent('octopus.flash', params);
      expect(answer).toMatchObject({ error: { code: 424, data: { code: USAGE } } });
      expect(JSON.stringify(answer).length).toBeLessThan(5000);
    }
    expectUntouched(site, mark);
  });

  test("30 MiB: over a WebSocket Moonraker closes the caller's connection, by HTTP the agent refuses; it stays", async () => {
    const mark = site.mark();
    const params = { board: BOARD, image: 'x'.repeat(30 << 20) };
    const caller = await site.client();
    void caller.agent('octopus.flash', params);
    expect([1006, 1009]).toContain(await caller.closed);
    const request = { agent: 'octopus', method: 'octopus.flash', arguments: params };
    expect((await site.moonraker.post('/server/extensions/request', request)).status).toBe(424);
    expect(await agents()).toHaveLength(1);
    expect((await client.agent('octopus.status'))['result']).toHaveProperty('boards');
    expect(site.daemon.log.slice(mark.log).map(({ msg }) => msg)).not.toContain('no connection to Moonraker');
    expectUntouched(site, mark);
  });
});

test('a bridge: who is on its CAN bus', async () => {
  await site.daemon.kill();
  await site.startDaemon('bridge');
  expect(await client.agent('octopus.canbus_query')).toHaveProperty('result.nodes');
});
