// Images by name: what the host's own user may read, and what a request through Moonraker never gets.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ResolvedFolder } from '../../src/config/folders.ts';
import { ownImages, remoteImages, type ImageRights } from '../../src/methods/image-source.ts';
import { failureOf } from '../support/bench.ts';

const SECRET = 'the secret of the host';
let top: string;
let folder: string;
let uploads: string;
let rights: ImageRights;
const at = (...parts: string[]) => join(top, ...parts);
const here = (path: string): ResolvedFolder => ({ asWritten: path, real: realpathSync(path) });
const remote = remoteImages(async () => rights, '/home/nobody');
const nameOf = (read: Awaited<ReturnType<typeof remote.read>>) =>
  read.kind === 'file' ? Buffer.from(read.file.bytes).toString() : `backup ${read.id}`;

beforeAll(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), 'octopus-source-')));
  folder = at('firmware');
  uploads = at('config', 'firmware');
  for (const path of [folder, uploads, at('outside', 'sub'), join(folder, 'sub')])
    mkdirSync(path, { recursive: true });
  writeFileSync(join(folder, 'klipper.bin'), 'inside');
  writeFileSync(join(folder, 'sub', 'klipper.bin'), 'deeper');
  writeFileSync(join(uploads, 'new.bin'), 'uploaded');
  writeFileSync(at('outside', 'secret'), SECRET);
  writeFileSync(at('outside', 'sub', 'secret'), SECRET);
  mkdirSync(at('firmware-2'));
  writeFileSync(at('firmware-2', 'secret'), SECRET);
  symlinkSync(at('outside', 'secret'), join(folder, 'to-secret'));
  symlinkSync(at('outside', 'nothing'), join(folder, 'to-nothing'));
  symlinkSync(at('outside'), join(folder, 'out'));
  symlinkSync(join(folder, 'sub'), join(folder, 'inner'));
  symlinkSync(join(folder, 'loop'), join(folder, 'loop'));
  symlinkSync(at('outside', 'secret'), join(uploads, 'to-secret'));
  symlinkSync(folder, at('by-link'));
  execFileSync('mkfifo', [at('outside', 'fifo'), join(folder, 'fifo')]);
});
afterAll(() => rmSync(top, { recursive: true, force: true }));
beforeEach(() => {
  rights = { folders: [here(folder)], uploads: undefined };
});

describe('the own user', () => {
  const own = ownImages('/home/nobody');
  test('reads any file, a backup by its id, and nothing that is not there', async () => {
    expect(nameOf(await own.read(at('outside', 'secret')))).toBe(SECRET);
    expect(nameOf(await own.read('backup:abc'))).toBe('backup abc');
    expect(nameOf(await ownImages(top).read('~/firmware/klipper.bin'))).toBe('inside');
    expect(await failureOf(own.read(at('nothing')))).toMatchObject({ code: 'file-unreadable' });
    for (const name of ['upload:new.bin', 'build:f446'])
      expect(await failureOf(own.read(name))).toMatchObject({ code: 'bad-parameter', place: 'image' });
  });
});

describe('a request through Moonraker', () => {
  test('reads below the folders, also through links that stay inside', async () => {
    for (const [path, text] of [
      [join(folder, 'klipper.bin'), 'inside'],
      [`${folder}//sub/./klipper.bin`, 'deeper'],
      [`${folder}/sub/../klipper.bin`, 'inside'],
      [join(folder, 'inner', 'klipper.bin'), 'deeper'],
    ] as const)
      expect(nameOf(await remote.read(path))).toBe(text);
  });

  test('a folder that is a link itself: both of its names, and nothing else', async () => {
    rights = { folders: [here(at('by-link'))], uploads: undefined };
    expect(nameOf(await remote.read(at('by-link', 'klipper.bin')))).toBe('inside');
    expect(nameOf(await remote.read(join(folder, 'klipper.bin')))).toBe('inside');
    expect(await failureOf(remote.read(at('outside', 'secret')))).toMatchObject({ code: 'bad-parameter' });
    expect(await failureOf(remote.read(at('by-link', 'to-secret')))).toMatchObject({ code: 'bad-parameter' });
  });

  test('what leads out is refused, in words that do not tell what is there', async () => {
    const pairs = [
      [at('outside', 'secret'), at('outside', 'nothing')],
      [`${folder}/../outside/secret`, `${folder}/../outside/nothing`],
      [join(folder, 'to-secret'), join(folder, 'to-nothing')],
      [join(folder, 'out', 'secret'), join(folder, 'out', 'nothing')],
      [join(folder, 'out', 'sub', 'secret'), join(folder, 'out', 'not', 'secret')],
      [`${folder}/out/../outside/secret`, `${folder}/out/../outside/nothing`],
      [`${folder}/out/../klipper.bin`, `${folder}/out/../outside`],
      [at('firmware-2', 'secret'), at('firmware-3', 'secret')],
      [folder, top],
      ['/dev/null', '/dev/nothing'],
      ['/', '/nothing'],
      [join(folder, 'loop'), join(folder, 'loop', 'deeper')],
    ] as const;
    for (const names of pairs) {
      const errors = [];
      for (const name of names) {
        const { code, place, message, advice } = await failureOf(remote.read(name));
        expect([name, code]).toEqual([name, 'bad-parameter']);
        errors.push({ place, advice, message: message.replace(/".*"/, '') });
      }
      expect(errors[0]).toEqual(errors[1]);
    }
  });

  test('inside it is told what is wrong', async () => {
    for (const name of ['nothing.bin', 'not/there.bin', 'klipper.bin/below', 'sub', 'fifo'])
      expect(await failureOf(remote.read(join(folder, name)))).toMatchObject({ code: 'file-unreadable' });
  });

  test('names that are no whole path', async () => {
    for (const name of [
      'klipper.bin',
      './klipper.bin',
      '../x',
      '~/klipper.bin',
      '~root/x',
      '',
      'C:\\x',
      'file:/etc/passwd',
    ])
      expect(await failureOf(remote.read(name))).toMatchObject({ code: 'bad-parameter' });
    for (const name of [`${folder}/klipper.bin\0`, `${folder}/\0`])
      expect(await failureOf(remote.read(name))).toMatchObject({
        code: expect.stringMatching(/^(bad-parameter|file-unreadable)$/),
      });
    const long = await failureOf(remote.read(`${folder}/${'x/'.repeat(50_000)}`));
    expect(long.message.length).toBeLessThan(500);
    rights = { folders: [], uploads: undefined };
    expect(await failureOf(remote.read(join(folder, 'klipper.bin')))).toMatchObject({
      code: 'bad-parameter',
      advice: expect.stringContaining('firmware_folders'),
    });
  });

  test('nothing outside is ever opened, not even for a look', async () => {
    const fifo = at('outside', 'fifo');
    // Who writes to a pipe waits in open() until somebody opens it for reading, however shortly.
    const writer = spawn('sh', ['-c', ': > "$0"', fifo]);
    const opened = once(writer, 'exit').then(() => 'opened');
    const wait = (ms: number) => sleep(ms).then(() => 'waits');
    expect(await Promise.race([opened, wait(300)])).toBe('waits');
    for (const name of [fifo, `${folder}/../outside/fifo`, join(folder, 'out', 'fifo'), '/dev/null'])
      expect(await failureOf(remote.read(name))).toMatchObject({ code: 'bad-parameter' });
    expect(await Promise.race([opened, wait(200)])).toBe('waits');
    // The pipe does tell: whoever may read any file opens this one, and learns that it is none.
    expect(await failureOf(ownImages('/').read(fifo))).toMatchObject({ code: 'file-unreadable' });
    expect(await opened).toBe('opened');
  });

  test('rights are asked anew each time', async () => {
    const path = join(folder, 'klipper.bin');
    expect(nameOf(await remote.read(path))).toBe('inside');
    rights = { folders: [], uploads: undefined };
    expect(await failureOf(remote.read(path))).toMatchObject({ code: 'bad-parameter' });
  });
});
