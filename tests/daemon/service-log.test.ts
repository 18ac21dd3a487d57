// The daemon's log beside Moonraker's: the same lines as on stderr, kept small, without secrets, and never a reason to stop.
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openServiceLog } from '../../src/daemon/service-log.ts';
import { systemClock } from '../../src/hardware/clock.ts';
import { ended, Site } from './process.ts';

jest.setTimeout(60_000);

let top: string;
let file: string;
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'octopus-log-'));
  file = join(top, 'logs', 'octopus-flasher.log');
});
afterEach(() => rmSync(top, { recursive: true, force: true }));
const lines = (path = file) => readFileSync(path, 'utf8').trimEnd().split('\n');

test('a daemon writes there where the folder is, for the owner alone, and says why a configuration stops it', async () => {
  const site = new Site(join(top));
  mkdirSync(join(top, 'logs'));
  const daemon = await site.daemon();
  daemon.kill('SIGTERM');
  expect((await ended(daemon)).code).toBe(0);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const told = lines().map((line) => JSON.parse(line));
  expect(told.map(({ msg }) => msg)).toEqual(
    expect.arrayContaining([expect.stringMatching(/^octopus-flasher runs/), 'stopped']),
  );
  for (const { time } of told) expect(new Date(time).toISOString()).toBe(time);

  mkdirSync(join(top, 'config'));
  writeFileSync(join(top, 'config', 'octopus-flasher.conf'), '[octopus-flasher]\nlog_levle: info\n');
  const args = ['daemon', '--virtual', 'octopus-v1.1-f446', '--virtual-dir', site.bench];
  expect((await ended(site.start(args))).code).not.toBe(0);
  expect(lines().map((line) => JSON.parse(line))).toContainEqual(
    expect.objectContaining({
      level: 60,
      msg: expect.stringContaining('log_levle'),
      advice: expect.stringContaining('log_level'),
    }),
  );
});

test('without the folder nothing is made', async () => {
  const { log, close } = openServiceLog('silent' as 'info', file, systemClock, {});
  log.info('x');
  await close();
  expect(existsSync(join(top, 'logs'))).toBe(false);
});

test('old files are three at most, and no line is cut', async () => {
  mkdirSync(join(top, 'logs'));
  const script = join(top, 'write.ts');
  const source = join(import.meta.dirname, '../../src/daemon/service-log.ts');
  const clock = join(import.meta.dirname, '../../src/hardware/clock.ts');
  writeFileSync(
    script,
    `const { openServiceLog } = await import(${JSON.stringify(source)});
const { systemClock } = await import(${JSON.stringify(clock)});
const { log, close } = openServiceLog('info', ${JSON.stringify(file)}, systemClock, {});
for (let n = 0; n < 110; n++) { log.info({ n, text: 'x'.repeat(100_000) }, 'long'); if (n % 5 === 0) await new Promise((go) => setTimeout(go, 2)); }
await close();`,
  );
  execFileSync('sh', ['-c', '"$0" "$1" 2>/dev/null', process.execPath, script]);
  expect([1, 2, 3, 4].map((n) => existsSync(`${file}.${n}`))).toEqual([true, true, true, false]);
  const seen = [`${file}.3`, `${file}.2`, `${file}.1`, file].flatMap((path) =>
    existsSync(path) && statSync(path).size > 0
      ? lines(path).map((line) => JSON.parse(line).n as number)
      : [],
  );
  expect(seen).toEqual(seen.map((_, at) => (seen[0] ?? 0) + at));
  expect(seen.at(-1)).toBe(109);
});

test('keys that hold secrets are shown without them', async () => {
  mkdirSync(join(top, 'logs'));
  const { log, close } = openServiceLog('info', file, systemClock, {});
  log.info({ api_key: 'abcdefgh', moonraker: { apiKey: 'ijklmnop', token: 'qrstuvwx', host: 'here' } }, 'x');
  await close();
  const text = readFileSync(file, 'utf8');
  expect(text).not.toMatch(/abcdefgh|ijklmnop|qrstuvwx/);
  expect(JSON.parse(text)).toMatchObject({ api_key: '(secret)', moonraker: { host: 'here' } });
});
