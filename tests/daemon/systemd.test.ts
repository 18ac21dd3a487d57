// What systemd is told, through its own program: in order, word for word, and never a reason to stop.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { serviceManager } from '../../src/daemon/systemd.ts';
import type { Logger } from '../../src/log.ts';

let top: string;
let warnings: unknown[];
const log = { warn: (...what: unknown[]) => warnings.push(what) } as unknown as Logger;
const said = () => JSON.parse(`[${readFileSync(join(top, 'said'), 'utf8').trimEnd().split('\n').join(',')}]`);
const install = (body: string) => {
  const file = join(top, 'systemd-notify');
  // Whatever lies in the folders above must not say what kind of module the stand-in is.
  writeFileSync(join(top, 'package.json'), '{}');
  writeFileSync(file, `#!${process.execPath}\n${body}`);
  chmodSync(file, 0o755);
};
const SAY = `const fs = require('node:fs');
fs.appendFileSync(${JSON.stringify('SAID')}, JSON.stringify(process.argv.slice(2)) + '\\n');`;

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'octopus-systemd-'));
  warnings = [];
});
afterEach(() => {
  rmSync(top, { recursive: true, force: true });
});

test('each call is one argument vector, in the order of the calls, also when one takes long', async () => {
  install(`if (process.argv[2] === 'READY=1') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
${SAY.replace('"SAID"', JSON.stringify(join(top, 'said')))}`);
  const manager = serviceManager({ NOTIFY_SOCKET: '/run/none', PATH: top }, log);
  manager.tell('READY=1');
  manager.tell('STATUS=a "b" $(touch x); c');
  manager.tell('STOPPING=1', 'STATUS=waits');
  await manager.flush();
  expect(said()).toEqual([['READY=1'], ['STATUS=a "b" $(touch x); c'], ['STOPPING=1', 'STATUS=waits']]);
  expect(warnings).toEqual([]);
});

test('a program that is missing or fails is a warning, and the next is told all the same', async () => {
  const manager = serviceManager({ NOTIFY_SOCKET: '/run/none', PATH: top }, log);
  manager.tell('READY=1');
  await manager.flush();
  expect(warnings).toHaveLength(1);
  install('process.exit(1)');
  manager.tell('STATUS=x');
  await manager.flush();
  expect(warnings).toHaveLength(2);
  install(SAY.replace('"SAID"', JSON.stringify(join(top, 'said'))));
  manager.tell('STATUS=y');
  await manager.flush();
  expect(said()).toEqual([['STATUS=y']]);
});

test('without systemd nothing is started', async () => {
  install(SAY.replace('"SAID"', JSON.stringify(join(top, 'said'))));
  for (const env of [{ PATH: top }, { NOTIFY_SOCKET: '', PATH: top }]) {
    const manager = serviceManager(env, log);
    manager.tell('READY=1');
    await manager.flush();
  }
  expect(existsSync(join(top, 'said'))).toBe(false);
});

test('under journald each line begins with its priority; elsewhere it is JSON alone', () => {
  const script = join(top, 'log.ts');
  const source = resolve(import.meta.dirname, '../../src/log.ts');
  writeFileSync(
    script,
    `const { createServiceLog } = await import(${JSON.stringify(source)});
const log = createServiceLog('debug', process.env);
log.trace('no'); log.debug('a'); log.info('b'); log.warn('c'); log.child({ x: 1 }).error('d'); log.fatal('e');`,
  );
  const run = (env: object) =>
    execFileSync('sh', ['-c', '"$0" "$1" 2>&1', process.execPath, script], {
      env: { PATH: process.env['PATH'], ...env },
      encoding: 'utf8',
    })
      .trimEnd()
      .split('\n');
  const lines = run({ JOURNAL_STREAM: '8:1' });
  expect(lines.map((line) => line.slice(0, 4))).toEqual(['<7>{', '<6>{', '<4>{', '<3>{', '<2>{']);
  expect(lines.map((line) => JSON.parse(line.slice(3)).msg)).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect(run({}).map((line) => JSON.parse(line).msg)).toEqual(['a', 'b', 'c', 'd', 'e']);
});
