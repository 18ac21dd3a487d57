// install.sh where it does not belong, and wrong words: said plainly, before anything is changed.
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { InstallSite } from './site.ts';

jest.setTimeout(120_000);

let site: InstallSite;
beforeEach(() => {
  site = new InstallSite();
});
afterEach(() => site.close());

const release = (text: string) => site.write(join(site.root, 'etc/os-release'), text);
const tool = (name: string, body: string) => site.tool(name, body, false);

describe.each<readonly [string, () => void, readonly string[], RegExp]>([
  ['as root', () => tool('id', 'echo 0'), [], /as root[^]*without sudo: \.\/install\.sh/],
  [
    'Debian 11',
    () => release('ID=debian\nVERSION_CODENAME=bullseye\nPRETTY_NAME="Debian 11"\n'),
    [],
    /bullseye is too old: 12 \(bookworm\) or 13/,
  ],
  [
    'another family',
    () => release('ID=fedora\nPRETTY_NAME="Fedora Linux 40"\nVERSION_CODENAME=\n'),
    [],
    /Fedora Linux 40[^]*docs\/install\.md/,
  ],
  [
    '32-bit ARM',
    () => tool('dpkg', 'echo armhf'),
    [],
    /32-bit \(armhf\)[^]*Raspberry Pi OS 64-bit[^]*Node 24/,
  ],
  ['32-bit x86', () => tool('dpkg', 'echo i386'), [], /32-bit \(i386\)/],
  ['no printer', () => rmSync(site.data, { recursive: true }), [], /no printer of pi was found[^]*KIAUH/],
  ['a folder that is no printer', () => {}, ['--printer-data', '/tmp'], /\/tmp is no printer's folder/],
  ['pins on a host without config.txt', () => {}, ['--pins'], /no config\.txt here/],
])('%s', (_name, spoil, args, words) => {
  test('exit code 3, the reason and the cure, nothing touched', async () => {
    // With npm's Node, 24 would be a way out on 32-bit: here it is Debian's.
    tool('node', 'case "$1" in -p) echo 20 ;; *) exec "$0.real" "$@" ;; esac');
    spoil();
    const before = site.snapshot();
    const ran = await site.run(['--yes', ...args]);
    expect(ran.code).toBe(3);
    expect(ran.err).toMatch(words);
    expect(ran.err).toMatch(/^install\.sh: refused: /);
    expect(site.snapshot()).toEqual(before);
    expect(site.told()).toEqual([]);
  });
});

test('32-bit with a Node 24 of its own goes on; so does a relative of Debian', async () => {
  tool('dpkg', 'echo armhf');
  release('ID=raspbian\nID_LIKE=debian\nVERSION_CODENAME=bookworm\n');
  expect((await site.run(['--dry-run'])).code).toBe(0);
  release('ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\nPRETTY_NAME="Ubuntu 24.04"\n');
  const ran = await site.run(['--dry-run']);
  expect(ran.code).toBe(0);
  expect(ran.out).toContain('This is Ubuntu 24.04: tried are Debian bookworm and trixie. Going on.');
});

test.each([
  [['--nonsense'], '--nonsense is no option'],
  [['--can'], '--can needs a value'],
  [['--can', '1M'], '--can 1M: a bitrate is a number'],
  [['--can', '9999'], 'a bitrate is a number'],
  [['--can', '1000001'], 'a bitrate is a number'],
  [['--can', '500000; reboot'], 'a bitrate is a number'],
  [['--board', 'octopus'], 'octopus is no board; known are octopus-pro-f429'],
  [['--board', '../../../etc/passwd'], 'is no board'],
  [['--purge'], '--purge goes with --uninstall'],
  [['--printer-data'], '--printer-data needs a value'],
])('%p: exit code 2 and the usage', async (args, words) => {
  const ran = await site.run(args);
  expect(ran.code).toBe(2);
  expect(ran.err).toContain(words);
  expect(ran.err).toContain('Usage: ./install.sh');
  expect(ran.out).toBe('');
});

test('--help says the exit codes; a path that a unit cannot hold is refused', async () => {
  const help = await site.run(['--help']);
  expect(help.code).toBe(0);
  for (const flag of ['--yes', '--dry-run', '--uninstall', '--purge', '--can', '--arm', '--no-arm', '--pins'])
    expect(help.out).toContain(flag);
  expect(help.out).toContain('Exit codes: 0 done');
  await site.close();
  site = new InstallSite({ clone: 'octopus flasher' });
  const ran = await site.run(['--yes']);
  expect(ran).toMatchObject({ code: 3 });
  expect(ran.err).toContain('the path of this clone has a space');
});

test('taking off works where putting on is refused', async () => {
  expect((await site.run(['--yes'])).code).toBe(0);
  release('ID=debian\nVERSION_CODENAME=bullseye\n');
  tool('dpkg', 'echo armhf');
  expect(await site.run(['--uninstall', '--yes'])).toMatchObject({ code: 0, err: '' });
});

test('sudo that refuses ends it with code 1, and the next run carries on', async () => {
  tool('sudo', 'exit 1');
  const ran = await site.run(['--yes']);
  expect(ran.code).toBe(1);
  expect(ran.err).toContain('install.sh: failed: sudo ');
  mkdirSync(join(site.top, 'x'));
  tool('sudo', 'exec "$@"');
  expect((await site.run(['--yes'])).code).toBe(0);
  expect((await site.run(['--yes'])).out).toContain('Nothing to change.');
  expect((await site.run(['--uninstall', '--yes'])).code).toBe(0);
});
