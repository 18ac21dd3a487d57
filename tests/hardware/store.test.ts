// The file store beyond its contract: modes, what a dying process leaves, and errors that name the cure.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileStore } from '../../src/hardware/store.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'octopus-files-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const modeOf = (path: string) => statSync(path).mode & 0o777;

test('what is written is flushed before it gets its name, and the name after that', async () => {
  const root = join(folder, 'data');
  const store = new FileStore(root);
  await store.write('journal/board.json', Uint8Array.of(1));
  const any = await open(join(root, 'journal/board.json'));
  const kind = Object.getPrototypeOf(any) as FileHandle;
  await any.close();
  const flushed: string[] = [];
  const { sync } = kind; // oxlint-disable-line typescript/unbound-method -- called with its handle below
  kind.sync = async function (this: FileHandle) {
    const named = [...readFileSync(join(root, 'journal/board.json'))].join();
    flushed.push(`${readlinkSync(`/proc/self/fd/${this.fd}`).replace(/~.*/, '~')}: ${named}`);
    await sync.call(this);
  };
  await store.write('journal/board.json', Uint8Array.of(2)).finally(() => (kind.sync = sync));
  expect(flushed).toEqual([join(root, 'journal/~: 1'), join(root, 'journal: 2')]);
});

test('folders are 0700 and files 0600, and nothing unfinished stays', async () => {
  const root = join(folder, 'data');
  await new FileStore(root).write('backups/board/a.bin', Uint8Array.of(1, 2, 3));
  expect(['', 'backups', 'backups/board'].map((path) => modeOf(join(root, path)))).toEqual([
    0o700, 0o700, 0o700,
  ]);
  expect(modeOf(join(root, 'backups/board/a.bin'))).toBe(0o600);
  expect(readdirSync(join(root, 'backups/board'))).toEqual(['a.bin']);
});

test('a half-written file of a dead process is no entry, and goes away once it is old', async () => {
  const store = new FileStore(folder);
  writeFileSync(join(folder, '~old'), 'half');
  writeFileSync(join(folder, '~young'), 'half');
  utimesSync(join(folder, '~old'), 1, 1);
  expect(await store.list('')).toEqual([]);
  await store.write('whole', Uint8Array.of(1));
  expect(readdirSync(folder).sort()).toEqual(['whole', '~young']);
});

test('a folder that somebody took away is made again', async () => {
  const store = new FileStore(join(folder, 'data'));
  await store.write('a/b', Uint8Array.of(1));
  rmSync(join(folder, 'data'), { recursive: true });
  await store.write('a/b', Uint8Array.of(2));
  expect(await store.read('a/b')).toEqual(Uint8Array.of(2));
  expect(modeOf(join(folder, 'data/a'))).toBe(0o700);
});

test('what was written is read back from the disk: once it is synced, the copy in memory goes', async () => {
  const forgotten: { readonly content: string; readonly keys: readonly string[] }[] = [];
  const store = new FileStore(folder, async (fd) => {
    const content = readFileSync(readlinkSync(`/proc/self/fd/${fd}`), 'utf8');
    forgotten.push({ content, keys: await store.list('') });
  });
  for (const key of ['a', 'b']) await store.write(key, new TextEncoder().encode(`of ${key}`));
  // All of it is there by then, and under no name yet.
  expect(forgotten).toEqual([
    { content: 'of a', keys: [] },
    { content: 'of b', keys: ['a'] },
  ]);
});

test('many writes of one key at once leave one of them whole', async () => {
  const store = new FileStore(folder);
  const contents = Array.from({ length: 10 }, (_, index) => new Uint8Array(50_000).fill(index));
  await Promise.all(contents.map((bytes) => store.write('k', bytes)));
  const kept = await store.read('k');
  expect(kept?.length).toBe(50_000);
  expect(new Set(kept).size).toBe(1);
  expect(readdirSync(folder)).toEqual(['k']);
});

test('what cannot be written names the path and the cure, and keeps the old content', async () => {
  const store = new FileStore(folder);
  await store.write('file', Uint8Array.of(7));
  await expect(store.write('file/below', Uint8Array.of(1))).rejects.toMatchObject({
    code: 'store-failed',
    place: join(folder, 'file/below'),
    advice: expect.stringContaining('move it away'),
  });
  mkdirSync(join(folder, 'folder'));
  await expect(store.write('folder', Uint8Array.of(1))).rejects.toMatchObject({ code: 'store-failed' });
  expect(await store.read('file')).toEqual(Uint8Array.of(7));
  expect(readdirSync(folder).sort()).toEqual(['file', 'folder']);
});
