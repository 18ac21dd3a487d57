// The audit log: who asked for what, in a file of the owner's that a flood of questions does not wash away.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Audit } from '../../src/daemon/audit.ts';
import { OctopusError } from '../../src/errors.ts';
import type { Logger } from '../../src/log.ts';
import { from } from './house.ts';

/** Time as the test moves it. */
let now: number;
const clock = {
  now: () => now,
  date: () => Date.UTC(2026, 0, 1) + now,
  sleep: () => Promise.reject(new Error('no')),
};
let top: string;
let file: string;
let audit: Audit;
let errors: unknown[];
const log = {
  error: (what: unknown) => errors.push(what),
  warn: (what: unknown) => errors.push(what),
} as unknown as Logger;
const lines = (name = file) =>
  readFileSync(name, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
const refused = {
  kind: 'refused',
  error: new OctopusError('not-armed', 'not armed', { advice: 'arm' }),
} as const;
const ask = (method = 'octopus.status', params: unknown = {}) =>
  audit.request({ origin: from('request'), method, params }, { kind: 'answered' });

beforeEach(() => {
  now = 0;
  errors = [];
  top = mkdtempSync(join(tmpdir(), 'octopus-audit-'));
  file = join(top, 'own', 'audit.log');
});
afterEach(async () => {
  await audit.close();
  rmSync(top, { recursive: true, force: true });
});

test('one line for each request and for the end of a job, for the owner alone', async () => {
  const before = process.umask(0);
  audit = new Audit(file, clock, log);
  audit.request(
    { origin: from('macro'), method: 'octopus.flash', params: { image: 'x' } },
    { kind: 'job', job: 'abc' },
  );
  now = 1500;
  audit.request({ origin: from('local'), method: 'octopus.flash', params: {} }, refused);
  audit.ended({ id: 'abc', method: 'octopus.flash', board: 'b' }, { outcome: 'failed', code: 'no-boot' });
  await audit.close();
  process.umask(before);
  expect(lines()).toEqual([
    {
      time: '2026-01-01T00:00:00.000Z',
      via: 'macro',
      printer: 'printer',
      method: 'octopus.flash',
      params: { image: 'x' },
      outcome: 'job',
      job: 'abc',
    },
    {
      time: '2026-01-01T00:00:01.500Z',
      via: 'local',
      method: 'octopus.flash',
      params: {},
      outcome: 'refused',
      code: 'not-armed',
      message: 'not armed',
    },
    {
      time: '2026-01-01T00:00:01.500Z',
      job: 'abc',
      method: 'octopus.flash',
      board: 'b',
      outcome: 'failed',
      code: 'no-boot',
    },
  ]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(join(top, 'own')).mode & 0o777).toBe(0o700);
  // Opened again it goes on where it was.
  audit = new Audit(file, clock, log);
  ask();
  await audit.close();
  expect(lines()).toHaveLength(4);
});

test('a flood of equal questions or refusals is one line with its number', async () => {
  audit = new Audit(file, clock, log);
  for (let n = 0; n < 1000; n++) ask();
  for (let n = 0; n < 500; n++)
    audit.request({ origin: from('request'), method: 'octopus.flash', params: {} }, refused);
  ask('octopus.backups');
  now = 1001;
  ask();
  await audit.close();
  expect(lines().map(({ method, times }) => [method, times])).toEqual([
    ['octopus.status', undefined],
    ['octopus.flash', undefined],
    ['octopus.backups', undefined],
    ['octopus.status', 1000],
    ['octopus.flash', 499],
  ]);
});

test('other doors and other parameters are other questions; of too many the oldest is told and forgotten', async () => {
  audit = new Audit(file, clock, log);
  ask();
  ask();
  ask('octopus.status', { board: 'b' });
  audit.request({ origin: from('local'), method: 'octopus.status', params: {} }, { kind: 'answered' });
  for (let n = 0; n < 250; n++) ask('octopus.job_get', { job: n });
  await audit.close();
  const all = lines();
  expect(all.slice(0, 3).map(({ via, params }) => [via, params])).toEqual([
    ['request', {}],
    ['request', { board: 'b' }],
    ['local', {}],
  ]);
  expect(all.filter(({ times }) => times !== undefined)).toMatchObject([
    { method: 'octopus.status', times: 1 },
  ]);
  expect(all).toHaveLength(3 + 250 + 1);
});

test('a change is never counted together', async () => {
  audit = new Audit(file, clock, log);
  for (let n = 0; n < 5; n++)
    audit.request(
      { origin: from('request'), method: 'octopus.reset', params: {} },
      { kind: 'job', job: 'same' },
    );
  for (let n = 0; n < 5; n++)
    audit.ended({ id: 'same', method: 'octopus.reset', board: 'b' }, { outcome: 'done' });
  await audit.close();
  expect(lines()).toHaveLength(10);
});

test('huge parameters and names are cut', async () => {
  audit = new Audit(file, clock, log);
  ask(`octopus.${'x'.repeat(1_000_000)}`, { image: 'y'.repeat(1_000_000) });
  ask('octopus.flash', undefined);
  await audit.close();
  expect(statSync(file).size).toBeLessThan(2000);
  const [first, second] = lines();
  expect(first.method).toHaveLength(100);
  expect(first.params).toContain('(1000012 characters)');
  expect(second.method).toBe('octopus.flash');
});

test("it rotates: at most five old files, each the owner's alone", async () => {
  audit = new Audit(file, clock, log);
  for (let round = 0; round < 9; round++) {
    for (let n = 0; n < 1000; n++) {
      now += 2000;
      ask('octopus.status', { round, n, text: 'z'.repeat(950) });
    }
    // The stream takes what it is given when it comes to it.
    await sleep(30);
  }
  await audit.close();
  const names = readdirSync(join(top, 'own')).toSorted();
  expect(names).toHaveLength(6);
  for (const name of names) {
    expect(statSync(join(top, 'own', name)).mode & 0o777).toBe(0o600);
    expect(statSync(join(top, 'own', name)).size).toBeLessThan(2_200_000);
  }
  expect(errors).toEqual([]);
});

test('a log that cannot be written is told once, throws nowhere, and heals', async () => {
  mkdirSync(file, { recursive: true });
  audit = new Audit(file, clock, log);
  ask();
  await sleep(50);
  expect(errors).toHaveLength(1);
  for (let n = 0; n < 100; n++) ask('octopus.flash', { n });
  await sleep(20);
  expect(errors).toHaveLength(1);
  rmSync(file, { recursive: true });
  now = 10_001;
  ask('octopus.reset');
  await audit.close();
  expect(lines()).toMatchObject([{ lost: 100 }, { method: 'octopus.reset' }]);
});

test('nor does one whose folder cannot be made, and closing it ends', async () => {
  writeFileSync(join(top, 'plain'), '');
  audit = new Audit(join(top, 'plain', 'audit.log'), clock, log);
  ask();
  await audit.close();
  expect(errors).toHaveLength(1);
});
