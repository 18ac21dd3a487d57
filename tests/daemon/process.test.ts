// The daemon as a process: one per host, the command line through it, and every way in which it ends.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { forgeKlipper } from '../../src/virtual/forge.ts';
import { BOARD } from './house.ts';
import { ended, runOnFullDisk, Site } from './process.ts';

jest.setTimeout(60_000);

let top: string;
let image: string;
const sites: Site[] = [];
const site = (name: string) => {
  const one = new Site(join(top, name));
  sites.push(one);
  return one;
};
beforeAll(() => {
  top = mkdtempSync(join(tmpdir(), 'octopus-daemon-'));
  image = join(top, 'klipper.bin');
  writeFileSync(image, forgeKlipper({ mcu: 'stm32f446xx', version: 'v0.13.0-7' }));
});
afterAll(() => {
  for (const one of sites) one.kill();
  rmSync(top, { recursive: true, force: true });
});
const onBoard = ['--board', BOARD];

/** The job that runs, once it has told `words`. */
async function jobThatTold(one: Site, words: string): Promise<string> {
  for (let tries = 0; tries < 80; tries++) {
    const { answer } = await one.run('job-list');
    const job = answer.jobs.find(({ state }: { state: string }) => state === 'running');
    if (job !== undefined) {
      const { events } = (await one.run('job-get', job.id)).answer;
      if (JSON.stringify(events).includes(words)) return job.id;
    }
    await sleep(20);
  }
  throw new Error(`no job told of ${words}`);
}

test('one daemon, the command line through it, armed and not, cancelled by Ctrl-C and by job-cancel', async () => {
  const one = site('a');
  expect((await one.run('job-cancel', 'abcdef')).answer.error.code).toBe('unknown-job');
  expect(await one.run('reset', ...onBoard, '--detach')).toMatchObject({
    code: 1,
    answer: { error: { code: 'no-daemon', advice: expect.stringMatching(/systemctl/) } },
  });
  const daemon = await one.daemon();
  expect(statSync(one.socket).mode & 0o777).toBe(0o600);
  const second = one.start(['daemon', '--virtual', BOARD]);
  expect(await ended(second)).toMatchObject({ code: 4, answer: { error: { code: 'busy' } } });

  expect(await one.run('reset', ...onBoard, '--detach')).toMatchObject({
    code: 3,
    answer: { error: { code: 'not-armed' } },
  });
  expect(await one.run('arm')).toMatchObject({ code: 0, answer: { isArmed: true } });
  const detached = await one.run('dfu-enter', ...onBoard, '--hold-s', '60', '--detach');
  expect(detached.code).toBe(0);
  const { job } = detached.answer;
  expect(await jobThatTold(one, '"enter"')).toBe(job);
  expect(await one.run('reset', ...onBoard)).toMatchObject({ code: 4, answer: { error: { code: 'busy' } } });
  expect(await one.run('job-cancel', job.slice(0, 8))).toMatchObject({
    code: 0,
    answer: { job, cancelAsked: true },
  });
  // The board is free once the first has ended, and the gate is open once Klipper is back.
  for (let tries = 0; tries < 100; tries++) {
    const { answer } = await one.run('status');
    if (answer.jobs.length === 0 && answer.boards[0].klipper === 'ready') break;
    await sleep(50);
  }
  const held = one.start(['dfu-enter', ...onBoard, '--hold-s', '60']);
  const end = ended(held);
  const holding = await jobThatTold(one, 'In DFU mode');
  expect(holding).not.toBe(job);
  held.kill('SIGINT');
  // Out of DFU mode before its time is how a stay ends well.
  const { code, answer: left } = await end;
  expect([code, left.state ?? left.error.code]).toEqual([0, 'done']);
  expect((await one.run('job-get', holding)).answer).toMatchObject({ state: 'done', cancelAsked: true });
  expect((await one.run('disarm')).answer.isArmed).toBe(false);
  expect((await one.run('reset', ...onBoard, '--detach')).code).toBe(3);
  const { answer } = await one.run('status');
  expect(answer).toMatchObject({ jobs: [], daemon: { isArmed: false, printers: [{ moonraker: 'down' }] } });
  daemon.kill('SIGTERM');
  expect((await ended(daemon)).code).toBe(0);
  expect(one.driven()).toEqual([]);
  expect(existsSync(one.socket)).toBe(false);
  const audit = readFileSync(join(one.printerData, 'octopus-flasher', 'audit.log'), 'utf8');
  expect(audit.match(/"not-armed"/g)).toHaveLength(2);
});

test('SIGTERM in a write: it runs to its end, the answer arrives, and it is the one of a flash without a daemon', async () => {
  const one = site('b');
  const daemon = await one.daemon();
  const flash = ended(one.start(['flash', ...onBoard, '--image', image]));
  await jobThatTold(one, '"erase"');
  daemon.kill('SIGTERM');
  await sleep(50);
  daemon.kill('SIGTERM');
  expect(await one.run('reset', ...onBoard)).toMatchObject({ code: 4 });
  const stopped = await ended(daemon);
  const through = await flash;
  expect(stopped.code).toBe(0);
  expect(through).toMatchObject({ code: 0, answer: { state: 'done', verified: true, version: 'v0.13.0-7' } });
  expect(one.driven()).toEqual([]);

  const direct = await site('c').run('flash', '--virtual', BOARD, '--fast', '--image', image);
  const bare = ({ timings: _t, expectMs: _e, ...rest }: Record<string, unknown>) => rest;
  expect(bare(through.answer)).toEqual(bare(direct.answer));
});

/** Until nothing is owed to the board any more. */
async function settled(one: Site): Promise<void> {
  for (;;) {
    const [board] = (await one.run('status')).answer.boards;
    if (board.unfinishedJob === null && board.replacement === null && board.klipper === 'ready') return;
  }
}

test('killed with driven lines: the next one floats them before its socket answers', async () => {
  let driven = 0;
  for (const n of [1, 2, 3]) {
    const one = site(`killed-${n}`);
    const daemon = await one.daemon(['--fast'], { OCTOPUS_VIRTUAL_KILL_AT: String(n) });
    const flash = await one.run('flash', ...onBoard, '--image', image);
    expect(flash).toMatchObject({ code: 1, answer: { error: { code: 'no-daemon' } } });
    expect(daemon.signalCode ?? (await ended(daemon)).code).toBe('SIGKILL');
    if (one.driven().length > 0) driven++;
    // Its socket is still there, and nobody behind it.
    expect(existsSync(one.socket)).toBe(true);
    rmSync(one.socket);
    const next = await one.daemon(['--fast']);
    expect([n, one.driven()]).toEqual([n, []]);
    await settled(one);
    next.kill('SIGTERM');
    expect((await ended(next)).code).toBe(0);
  }
  expect(driven).toBeGreaterThanOrEqual(2);
});

test('a daemon that cannot open its socket says so and ends', async () => {
  const one = site('x'.repeat(90));
  const daemon = one.start(['daemon', '--virtual', BOARD]);
  expect(await ended(daemon)).toMatchObject({ code: 1, answer: { error: { code: 'store-failed' } } });
});

test('arming on a full disk fails and leaves what was there', async () => {
  const one = site('full');
  expect((await one.run('arm')).code).toBe(0);
  const file = join(one.printerData, 'octopus-flasher', 'host.conf');
  const before = readFileSync(file, 'utf8');
  expect(await runOnFullDisk(one, 'disarm')).toMatchObject({
    code: 1,
    answer: { error: { code: 'store-failed' } },
  });
  expect(readFileSync(file, 'utf8')).toBe(before);
});
