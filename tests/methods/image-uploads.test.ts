// Images that were uploaded, races against the check, and whatever text anybody thinks of.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { rename, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { remoteImages, type ImageRights, type NamedImage } from '../../src/methods/image-source.ts';
import { failureOf } from '../support/bench.ts';

const SECRET = 'the secret of the host';
let top: string;
let folder: string;
let uploads: string;
const at = (...parts: string[]) => join(top, ...parts);
const here = (path: string) => ({ asWritten: path, real: realpathSync(path) });
const on = () =>
  remoteImages(async (): Promise<ImageRights> => ({ folders: [here(folder)], uploads: here(uploads) }), top);
const off = () =>
  remoteImages(async (): Promise<ImageRights> => ({ folders: [here(folder)], uploads: undefined }), top);
const textOf = (named: NamedImage) =>
  named.kind === 'file' ? Buffer.from(named.file.bytes).toString() : named.id;

beforeAll(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), 'octopus-uploads-')));
  folder = at('firmware');
  uploads = at('config', 'firmware');
  mkdirSync(folder);
  mkdirSync(uploads, { recursive: true });
  writeFileSync(at('config', 'secret'), SECRET);
  writeFileSync(at('secret'), SECRET);
  writeFileSync(join(folder, 'a'), 'allowed');
  writeFileSync(join(uploads, 'new.bin'), 'uploaded');
  symlinkSync(at('secret'), join(uploads, 'link'));
  symlinkSync(at('nothing'), join(uploads, 'dangling'));
});
afterAll(() => rmSync(top, { recursive: true, force: true }));

test('uploads: read while they are allowed; a path to them is none', async () => {
  expect(textOf(await on().read('upload:new.bin'))).toBe('uploaded');
  expect(await failureOf(off().read('upload:new.bin'))).toMatchObject({
    code: 'bad-parameter',
    advice: expect.stringContaining('allow_uploads'),
  });
  // By path they are in no firmware folder, allowed or not.
  expect(await failureOf(on().read(join(uploads, 'new.bin')))).toMatchObject({ code: 'bad-parameter' });
  expect(await failureOf(on().read('upload:nothing.bin'))).toMatchObject({ code: 'file-unreadable' });
});

test('the name of an upload leads nowhere else', async () => {
  const names = [
    '../secret',
    '..',
    '.',
    '',
    '/etc/passwd',
    'sub/new.bin',
    './new.bin',
    'a\0b',
    'a\nb',
    ' x',
    'x'.repeat(200),
  ];
  for (const name of [...names, 'link', 'dangling']) {
    const error = await failureOf(on().read(`upload:${name}`));
    expect([name, error.code]).toEqual([name, 'bad-parameter']);
    expect(error.message).not.toContain(SECRET);
  }
  for (const kind of ['backup', 'build'])
    for (const name of ['../x', '', '/x', '.hidden', '-x'])
      expect(await failureOf(on().read(`${kind}:${name}`))).toMatchObject({ code: 'bad-parameter' });
  expect(await on().read('backup:0123abcd')).toEqual({ kind: 'backup', id: '0123abcd' });
});

test('an upload folder that is a link is followed to where it is, and no further', async () => {
  symlinkSync(uploads, at('linked'));
  const linked = remoteImages(async () => ({ folders: [], uploads: here(at('linked')) }), top);
  expect(textOf(await linked.read('upload:new.bin'))).toBe('uploaded');
  expect(await failureOf(linked.read('upload:link'))).toMatchObject({ code: 'bad-parameter' });
});

test('a link that changes between the check and the opening never gives what is outside', async () => {
  const name = join(folder, 'turning');
  const over = new AbortController();
  await symlink(join(folder, 'a'), name);
  const turn = (async () => {
    for (let n = 0; !over.signal.aborted; n++) {
      const next = join(folder, `next-${n % 2}`);
      await symlink(n % 2 === 0 ? at('secret') : join(folder, 'a'), next);
      await rename(next, name);
    }
  })();
  const seen = new Set<string>();
  for (let tries = 0; tries < 3000; tries++)
    seen.add(
      await on()
        .read(name)
        .then(textOf, (error: { code: string }) => error.code),
    );
  over.abort();
  await turn;
  expect([...seen].toSorted()).toEqual(['allowed', 'bad-parameter']);
});

test('a folder that is swapped for a link to the outside between the two neither', async () => {
  mkdirSync(join(folder, 'dir'));
  writeFileSync(join(folder, 'dir', 'secret'), 'allowed');
  symlinkSync(top, join(folder, 'other'));
  // Another process, so that it also comes between two steps of ours that nothing separates.
  const swapping = spawn(
    'sh',
    [
      '-c',
      'cd "$0" && while [ -d . ]; do mv -T dir kept; mv -T other dir; mv -T dir other; mv -T kept dir; done',
      folder,
    ],
    { stdio: 'ignore' },
  );
  const seen = new Set<string>();
  for (let tries = 0; tries < 1500; tries++) {
    seen.add(
      await on()
        .read(join(folder, 'dir', 'secret'))
        .then(textOf, (error: { code: string }) => error.code),
    );
  }
  swapping.kill('SIGKILL');
  expect([...seen]).toContain('allowed');
  expect([...seen]).not.toContain(SECRET);
});

test('whatever text is given, nothing outside is read', async () => {
  const part = fc.constantFrom(
    '..',
    '.',
    '',
    'firmware',
    'config',
    'secret',
    'a',
    'link',
    '~',
    '\0',
    ' ',
    'upload:',
    'out',
  );
  symlinkSync(top, join(folder, 'out'));
  const path = fc
    .tuple(
      fc.constantFrom('', '/', '~/', 'upload:', 'backup:', 'build:', `${'x'.repeat(10)}:`),
      fc.array(part, { maxLength: 8 }),
    )
    .map(([start, parts]) => `${start}${parts.join('/')}`);
  const roots = fc.constantFrom(top, folder, uploads, '/proc/self/root', `/proc/${process.pid}/cwd`);
  const below = fc
    .tuple(roots, fc.array(part, { maxLength: 8 }))
    .map(([start, parts]) => [start, ...parts].join('/'));
  const near = fc
    .tuple(fc.constantFrom('', '/.', '/out/firmware', '/out', '/../firmware'), fc.constantFrom('a', 'secret'))
    .map(([way, name]) => `${folder}${way}/${name}`);
  const counts = { read: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(path, below, near, fc.string({ unit: 'binary', maxLength: 60 })),
      async (name) => {
        const named = await on()
          .read(name)
          .catch((error: { code: string; message: string }) => error);
        if ('kind' in named) {
          counts.read++;
          expect(named.kind === 'backup' || ['allowed', 'uploaded'].includes(textOf(named))).toBe(true);
          return;
        }
        counts.refused++;
        expect(['bad-parameter', 'file-unreadable']).toContain(named.code);
        expect(JSON.stringify(named)).not.toContain(SECRET);
      },
    ),
    { numRuns: 3000 },
  );
  expect(counts.read).toBeGreaterThan(10);
  expect(counts.refused).toBeGreaterThan(1000);
});
