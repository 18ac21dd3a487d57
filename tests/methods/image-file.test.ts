// The image file: read once and whole, or an error that says what to do.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readImageFile } from '../../src/methods/image-file.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'octopus-image-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the bytes and the name, without the folder', async () => {
  const bytes = Uint8Array.from({ length: 700_000 }, (_, index) => index);
  writeFileSync(join(folder, 'klipper.bin'), bytes);
  const file = await readImageFile(join(folder, 'klipper.bin'));
  expect(file.name).toBe('klipper.bin');
  expect(Buffer.compare(file.bytes, bytes)).toBe(0);
});

test('missing, a folder, a pipe, below a file: file-unreadable with the whole path', async () => {
  mkdirSync(join(folder, 'sub'));
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  writeFileSync(join(folder, 'file'), 'x');
  for (const name of ['missing', 'sub', 'pipe', 'file/below']) {
    await expect(readImageFile(join(folder, name))).rejects.toMatchObject({
      code: 'file-unreadable',
      outcome: 'usage',
      place: join(folder, name),
      advice: expect.stringMatching(/\w/),
    });
  }
});

test('what no image can need is not read into memory', async () => {
  const path = join(folder, 'card.img');
  writeFileSync(path, '');
  truncateSync(path, 2 ** 40);
  await expect(readImageFile(path)).rejects.toMatchObject({ code: 'image-too-large', outcome: 'refused' });
});
