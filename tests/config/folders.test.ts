// Which resolved paths are inside, and which folders share files with Moonraker's.
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { isInside, requireAllowed, requireOutsideRoots } from '../../src/config/folders.ts';
import { refused } from './refused.ts';

test.each([
  ['/a/b', '/a', true],
  ['/a', '/a', true],
  ['/a/b/c', '/a/b', true],
  ['/a', '/', true],
  ['/ab', '/a', false],
  ['/a', '/a/b', false],
  ['/a/../b', '/a', false],
  ['/a/./b', '/a', false],
  ['/a//b', '/a', false],
  ['/a/b/', '/a', false],
  ['a/b', 'a', false],
  ['/a/b\0', '/a', false],
  ['', '', false],
  ['/a/b', '', false],
  ['/a/b', '/a/', false],
])('%j inside %j: %s', (path, folder, inside) => {
  expect(isInside(path, folder)).toBe(inside);
});

describe('images by path', () => {
  const folders = [
    { asWritten: '~/firmware', real: '/mnt/disk/firmware' },
    { asWritten: '/srv', real: '/srv' },
  ];

  test('below a folder, wherever its link leads', () => {
    requireAllowed('~/firmware/x.bin', '/mnt/disk/firmware/x.bin', folders);
    requireAllowed('/srv/a/b/x.bin', '/srv/a/b/x.bin', folders);
  });

  test.each([
    ['a link out of it', '/home/pi/.ssh/id'],
    ['a neighbour with a longer name', '/srv2/x.bin'],
    ['the folder itself', '/srv'],
    ['a path that was not resolved', '/srv/../etc/passwd'],
    ['a deleted file', 'x.bin (deleted)'],
  ])('%s is refused', (_, real) => {
    expect(refused(() => requireAllowed('/srv/\u00e4\n', real, folders)).advice).toMatch(
      /~\/firmware, \/srv/,
    );
  });

  test('without folders nothing is allowed', () => {
    expect(refused(() => requireAllowed('/x', '/x', [])).advice).toMatch(/firmware_folders in host\.conf/);
  });
});

test('a folder above, in, or at one of Moonraker is refused', () => {
  const place = { file: 'host.conf', line: 4, key: 'firmware_folders' };
  const roots = ['/data/config'];
  for (const real of ['/data', '/data/config', '/data/config/firmware', '/']) {
    expect(refused(() => requireOutsideRoots({ asWritten: 'x', real }, roots, place)).place).toBe(
      'host.conf:4',
    );
  }
  requireOutsideRoots({ asWritten: 'x', real: '/data/config2' }, roots, place);
});

test('joined names are inside, and no name leaves the folder', () => {
  const part = fc.stringMatching(/^[a-z0-9 ._-]{1,8}$/).filter((one) => one !== '.' && one !== '..');
  fc.assert(
    fc.property(fc.array(part, { minLength: 1 }), fc.array(part, { minLength: 1 }), (folder, below) => {
      const path = `/${folder.join('/')}`;
      expect(isInside(`${path}/${below.join('/')}`, path)).toBe(true);
      expect(isInside(`${path}${below.join('/')}`, path)).toBe(false);
      expect(isInside(`${path}/../${below.join('/')}`, path)).toBe(false);
    }),
  );
});
