// The verbs of the host's own user, and methods that a running daemon carries out.
import { expect, test } from '@jest/globals';
import type { DaemonLink, World } from '../../src/cli/world.ts';
import { OctopusError } from '../../src/errors.ts';
import type { JobEvent } from '../../src/jobs/job.ts';
import { fakeStreams } from './streams.ts';
import { run } from './world.ts';

const cli = (args: readonly string[], own: Partial<World> = {}) => run(args, undefined, fakeStreams(), own);
const BASE = { job: 'id-1', method: 'octopus.reset', board: 'b' } as const;

test('help names them, and says that arming opens something', async () => {
  const { out, code } = await cli(['--help']);
  expect(code).toBe(0);
  for (const verb of ['daemon', 'arm', 'disarm', 'virtual', 'demo'])
    expect(out).toMatch(new RegExp(`^ +${verb} `, 'm'));
  expect((await cli(['arm', '--help'])).out).toContain('Moonraker');
  expect((await cli(['flash', '--help'])).out).toContain('--detach');
  for (const verb of ['status', 'job-list', 'lines-release', 'unprotect'])
    expect((await cli([verb, '--help'])).out).not.toContain('--detach');
});

test('arm and disarm: one object under --json, words and the file without', async () => {
  const asked: boolean[] = [];
  const arm: World['arm'] = async (_settings, isArmed) => {
    asked.push(isArmed);
    return '/own/host.conf';
  };
  const armed = await cli(['arm', '--json'], { arm });
  expect(JSON.parse(armed.out)).toEqual({ isArmed: true, file: '/own/host.conf' });
  expect(JSON.parse((await cli(['disarm', '--json'], { arm })).out)).toEqual({
    isArmed: false,
    file: '/own/host.conf',
  });
  expect((await cli(['arm'], { arm })).out).toMatch(/^Armed: .*\n.*\/own\/host\.conf\n$/);
  expect((await cli(['disarm'], { arm })).out).toMatch(/^Disarmed: /);
  expect(asked).toEqual([true, false, true, false]);
  const refuse: World['arm'] = () =>
    Promise.reject(new OctopusError('bad-config', 'no', { advice: 'chmod' }));
  const refused = await cli(['arm', '--json'], { arm: refuse });
  expect([refused.code, JSON.parse(refused.out).error.code]).toEqual([2, 'bad-config']);
});

test("daemon: its exit code is the command's, its errors have theirs", async () => {
  expect((await cli(['daemon'], { daemon: async () => 0 })).code).toBe(0);
  expect((await cli(['daemon'], { daemon: async () => 7 })).code).toBe(7);
  const busy: World['daemon'] = () =>
    Promise.reject(new OctopusError('busy', 'one runs', { advice: 'wait' }));
  expect((await cli(['daemon', '--json'], { daemon: busy })).code).toBe(4);
  expect((await cli(['daemon', '--fast'], { daemon: async () => 0 })).code).toBe(2);
});

/** A daemon that answers `answer` and tells `events`, those of `early` before its answer. */
function fakeDaemon(parts: { early?: JobEvent[]; events?: JobEvent[]; answer?: object; goes?: boolean }) {
  const calls: unknown[] = [];
  const gone = Promise.withResolvers<void>();
  let listener: (event: JobEvent) => void = () => {};
  const call = async (via: string, method: string, params: object) => {
    calls.push([via, method, params]);
    for (const event of parts.early ?? []) listener(event);
    setImmediate(() => {
      for (const event of parts.events ?? []) listener(event);
      if (parts.goes === true) gone.resolve();
    });
    return parts.answer ?? { job: 'id-1' };
  };
  const link: DaemonLink = {
    call: (method, params) => call('local', method, params),
    callAsRemote: (method, params) => call('remote', method, params),
    onJobEvent: (one) => {
      listener = one;
    },
    gone: gone.promise,
    close: () => calls.push('closed'),
  };
  return { calls, own: { attach: async () => link } };
}
const end = (more: object) =>
  ({ ...BASE, kind: 'ended', n: 9, state: 'done', ...more }) as unknown as JobEvent;
const result = { state: 'done', board: 'b', running: 'Klipper v1' };

test('a job of the daemon: its own events only, also those that overtake its id', async () => {
  const others = { ...end({ result: { state: 'of another' } }), job: 'id-2' } as JobEvent;
  for (const parts of [{ events: [others, end({ result })] }, { early: [others, end({ result })] }]) {
    const { calls, own } = fakeDaemon(parts);
    const ran = await cli(['reset', '--board', 'b', '--json'], own);
    expect([ran.code, JSON.parse(ran.out)]).toEqual([0, result]);
    expect(calls).toEqual([['local', 'octopus.reset', { board: 'b' }], 'closed']);
  }
});

test('a job that fails there fails here with the same code; a daemon that goes is told', async () => {
  const error = { code: 'gate-closed', message: 'not now', advice: 'wait', place: 'printer' };
  const failed = await cli(
    ['reset', '--json'],
    fakeDaemon({ events: [end({ state: 'failed', error })] }).own,
  );
  expect([failed.code, JSON.parse(failed.out).error]).toEqual([3, error]);
  const left = await cli(['reset', '--json'], fakeDaemon({ goes: true }).own);
  expect([left.code, JSON.parse(left.out).error.code]).toEqual([1, 'no-daemon']);
});

test('--detach asks as the printer would; a virtual board of the command never goes to the daemon', async () => {
  const { calls, own } = fakeDaemon({});
  const ran = await cli(['reset', '--board', 'b', '--detach', '--json'], own);
  expect([ran.code, JSON.parse(ran.out)]).toEqual([0, { job: 'id-1' }]);
  expect(calls).toEqual([['remote', 'octopus.reset', { board: 'b' }], 'closed']);
  const virtual = await cli(['reset', '--virtual', 'octopus-v1.1-f446', '--detach', '--json'], own);
  expect([virtual.code, JSON.parse(virtual.out).error.code]).toEqual([1, 'no-daemon']);
  expect(calls).toHaveLength(2);
});

test('paths of images are made whole, names of images are not', async () => {
  for (const [given, sent] of [
    ['klipper.bin', `${process.cwd()}/klipper.bin`],
    ['odd:name.bin', `${process.cwd()}/odd:name.bin`],
    ['/a/b.bin', '/a/b.bin'],
    ['~/b.bin', '~/b.bin'],
    ['backup:abc', 'backup:abc'],
    ['upload:abc', 'upload:abc'],
  ]) {
    const { calls, own } = fakeDaemon({});
    await cli(['flash', '--image', given ?? '', '--detach', '--json'], own);
    expect(calls[0]).toEqual(['remote', 'octopus.flash', { image: sent }]);
  }
});

test('a method that is a job with some parameters only: a file is answered at once, a board is waited for', async () => {
  const passport = { kind: 'klipper', name: 'klipper.bin', format: 'bin', sizeBytes: 1 };
  const { calls, own } = fakeDaemon({ answer: passport });
  const file = await cli(['inspect', '/a/klipper.bin', '--json'], own);
  expect([file.code, JSON.parse(file.out)]).toEqual([0, passport]);
  expect(calls).toEqual([['local', 'octopus.inspect', { image: '/a/klipper.bin' }], 'closed']);
  const chip = {
    state: 'done',
    board: 'b',
    bootloader: null,
    application: null,
    through: 'rom',
    chip: { mcu: 'stm32f446xx', id: null, flashSizeBytes: 1024 },
    protection: { read: true, writeSectors: null },
    map: [],
    free: { sectors: [], bytes: 0 },
    unreadBytes: 0,
    lastFlash: null,
    unfinished: null,
    deadJob: null,
  };
  const board = await cli(
    ['inspect', '--board', 'b', '--json'],
    fakeDaemon({ events: [end({ result: chip })] }).own,
  );
  expect([board.code, JSON.parse(board.out)]).toEqual([0, chip]);
  // Nothing is there to be handed over.
  const detached = await cli(['inspect', '/a/klipper.bin', '--detach', '--json'], own);
  expect([detached.code, JSON.parse(detached.out).error]).toMatchObject([
    2,
    { code: 'bad-parameter', place: '--detach' },
  ]);
});
