// octopus support-bundle, the real program: what is in it, what is not, whose it is, and that nothing secret gets in.
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { forgeKlipper } from '../../src/virtual/forge.ts';
import { Site } from '../daemon/process.ts';

jest.setTimeout(60_000);

let top: string;
let site: Site;
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'octopus-support-test-'));
  site = new Site(join(top, 'printer_data'));
});
afterEach(() => {
  site.kill();
  rmSync(top, { recursive: true, force: true });
});

const API_KEY = 'Secret-Api-Key-0815';
const HEX_KEY = '0f1e2d3c4b5a69788796a5b4c3d2e1f0';
const SECRETS = [API_KEY, HEX_KEY, 'oneshot4711', 'hunter2hunter2', 'eyJhbGciOiJIUzI1NiJ9'];

function plant(): void {
  const write = (name: string, text: string) => {
    const file = join(site.printerData, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text, { mode: 0o600 });
  };
  write('klipper.bin', '');
  writeFileSync(join(site.printerData, 'klipper.bin'), forgeKlipper({ mcu: 'stm32f446xx' }));
  write(
    'config/octopus-flasher.conf',
    `[octopus-flasher]\nmoonraker: none\n#api_key: ${HEX_KEY}\napi_key: ${API_KEY}\n[board b]\nboard: octopus-v1.1-f446\nimage: ${site.printerData}/klipper.bin\n`,
  );
  write(
    'config/octopus-flasher-moonraker.conf',
    '[update_manager octopus-flasher]\norigin: https://me:hunter2hunter2@example.com/x.git\n',
  );
  write('config/moonraker.conf', `[authorization]\nx: ${HEX_KEY}\n`);
  write('config/printer.cfg', '[mcu]\nserial: mine\n');
  write('octopus-flasher/host.conf', '[octopus-flasher]\narmed: yes\n');
  write('logs/octopus-flasher.log', `{"msg":"ws://h/websocket?token=oneshot4711 and ${API_KEY}"}\n`);
  write(
    'logs/octopus-flasher.log.1',
    `{"api_key":"${'cut-in-two'.repeat(200_000)}"}\n{"jwt":"eyJhbGciOiJIUzI1NiJ9.e30.x"}\n${'x'.repeat(999_999)}\n`,
  );
  write('logs/klippy.log', 'not ours\n');
  write(
    'octopus-flasher/audit.log',
    `{"params":{"api_key":"${HEX_KEY}"},"method":"octopus.flash"}\n{"params":"{\\"token\\":\\"oneshot4711\\"}"}\n`,
  );
  write('octopus-flasher/backups/b/0123456789ab.bin', 'FIRMWARE');
  write('octopus-flasher/backups/b/0123456789ab.json', '{"id":"0123456789ab"}\n');
  write('octopus-flasher/journal/b.json', '{"job":"j"}\n');
}

test('logs, history, passports, versions and configuration; no firmware, no secret; for its owner alone', async () => {
  plant();
  const file = join(top, 'out.tar.gz');
  const { code, answer } = await site.run('support-bundle', '--output', file);
  expect(code).toBe(0);
  expect(answer.file).toBe(file);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  execFileSync('tar', ['-xzf', file, '-C', top]);
  const folder = readdirSync(top).find((name) => name.startsWith('octopus-support-')) ?? '';
  const text = (name: string) => readFileSync(join(top, folder, name), 'utf8');
  const names = execFileSync('find', ['.', '-type', 'f'], { cwd: join(top, folder), encoding: 'utf8' });
  expect(answer.contents.map((name: string) => `./${name}`).sort()).toEqual(
    names.trimEnd().split('\n').sort(),
  );
  expect(answer.contents).toEqual(
    expect.arrayContaining([
      'about.json',
      'backups.json',
      'config/host.conf',
      'config/octopus-flasher-moonraker.conf',
      'config/octopus-flasher.conf',
      'data/backups/b/0123456789ab.json',
      'data/journal/b.json',
      'doctor.json',
      'images.json',
      'jobs.json',
      'logs/audit.log',
      'logs/octopus-flasher.log',
      'logs/octopus-flasher.log.1',
      'status.json',
    ]),
  );
  expect(names).not.toMatch(/\.bin|klippy|printer\.cfg|\/moonraker\.conf/);
  expect(JSON.parse(text('about.json'))).toMatchObject({ version: '0.1.0', node: process.version });
  expect(JSON.parse(text('images.json'))).toMatchObject({
    [`${site.printerData}/klipper.bin`]: { kind: 'klipper', mcu: 'stm32f446xx' },
  });
  expect(JSON.parse(text('doctor.json'))['findings']).toBeInstanceOf(Array);
  expect(text('config/octopus-flasher.conf')).toContain('api_key: (secret)');
  expect(text('config/octopus-flasher.conf')).toContain('board: octopus-v1.1-f446');
  expect(text('config/host.conf')).toBe('[octopus-flasher]\narmed: yes\n');
  // It is longer than what is taken, and begins with a whole line.
  const kept = `{"jwt":"(secret)"}\n${'x'.repeat(999_999)}\n`;
  expect(text('logs/octopus-flasher.log.1') === kept).toBe(true);
  const everything = names.trimEnd().split('\n').map(text).join('\n');
  for (const secret of SECRETS) expect([secret, everything.includes(secret)]).toEqual([secret, false]);
  expect(everything).not.toContain('FIRMWARE');
});

test('on a host that has nothing it still packs what there is; a place that is none is said', async () => {
  const file = join(top, 'out.tar.gz');
  expect((await site.run('support-bundle', '--output', file)).code).toBe(0);
  expect(existsSync(file)).toBe(true);
  const bad = await site.run('support-bundle', '--output', join(top, 'nowhere/out.tar.gz'));
  expect(bad).toMatchObject({ code: 1, answer: { error: { code: 'store-failed' } } });
  expect(readdirSync(top).filter((name) => name.endsWith('.part'))).toEqual([]);
});

test('with a configuration that is spoilt it packs just that', async () => {
  plant();
  writeFileSync(join(site.printerData, 'config/octopus-flasher.conf'), `[nonsense]\napi_key: ${API_KEY}\n`);
  const file = join(top, 'out.tar.gz');
  expect((await site.run('support-bundle', '--output', file)).code).toBe(0);
  const all = execFileSync('tar', ['-xzOf', file], { maxBuffer: 1e8 }).toString();
  expect(all).toContain('bad-config');
  expect(all).not.toContain(API_KEY);
});
