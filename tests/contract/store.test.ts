// Contract: what every Store keeps to, in memory or on disk.
import { afterEach, describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileStore } from '../../src/hardware/store.ts';
import type { Store } from '../../src/ports/store.ts';
import { VirtualClock } from '../../src/virtual/clock.ts';
import { MemoryStore } from '../../src/virtual/store.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const STORES: readonly (readonly [string, () => Store])[] = [
  ['memory', () => new MemoryStore(new VirtualClock())],
  [
    'files',
    () => {
      const folder = mkdtempSync(join(tmpdir(), 'octopus-store-'));
      folders.push(folder);
      return new FileStore(join(folder, 'made', 'by', 'the-store'));
    },
  ],
];
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (found: Uint8Array | undefined) => found && new TextDecoder().decode(found);

describe.each(STORES)('Store: %s', (_name, make) => {
  test('what was written is read back, and replaced as a whole', async () => {
    const store = make();
    await store.write('backups/board/a.bin', bytes('a long first content'));
    expect(text(await store.read('backups/board/a.bin'))).toBe('a long first content');
    await store.write('backups/board/a.bin', bytes('short'));
    expect(text(await store.read('backups/board/a.bin'))).toBe('short');
  });

  test('an empty entry is an entry', async () => {
    const store = make();
    await store.write('empty', new Uint8Array());
    expect(await store.read('empty')).toEqual(new Uint8Array());
  });

  test('what is not there is undefined; removing it is no error', async () => {
    const store = make();
    expect(await store.read('nothing')).toBeUndefined();
    await store.write('a/b', bytes('x'));
    expect(await store.read('a')).toBeUndefined();
    expect(await store.read('a/b/c')).toBeUndefined();
    await store.remove('nothing/at/all');
    await store.remove('a/b');
    expect(await store.read('a/b')).toBeUndefined();
  });

  test('lists all keys below a folder, sorted, and nothing beside it', async () => {
    const store = make();
    for (const key of ['b/2', 'b/10', 'b/deep/er', 'bb/1', 'a']) await store.write(key, bytes(key));
    expect(await store.list('b')).toEqual(['b/10', 'b/2', 'b/deep/er']);
    expect(await store.list('')).toEqual(['a', 'b/10', 'b/2', 'b/deep/er', 'bb/1']);
    expect(await store.list('none')).toEqual([]);
  });

  test('the bytes given and the bytes got are copies', async () => {
    const store = make();
    const mine = bytes('abc');
    await store.write('k', mine);
    mine[0] = 0;
    const got = await store.read('k');
    got?.fill(0);
    expect(text(await store.read('k'))).toBe('abc');
  });

  test.each([
    '',
    '/',
    '../out',
    'a/../../out',
    'a/..',
    '.',
    'a//b',
    '/etc/passwd',
    'a/',
    'A',
    'a b',
    'a\0b',
    'a\nb',
    '~a',
  ])('the key %j is refused', async (key) => {
    const store = make();
    const refused = expect.objectContaining({ code: 'store-failed' });
    await expect(store.write(key, bytes('x'))).rejects.toEqual(refused);
    await expect(store.read(key)).rejects.toEqual(refused);
    await expect(store.remove(key)).rejects.toEqual(refused);
  });
});
