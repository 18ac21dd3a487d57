// host.conf on the disk: it alone opens guards, so whoever else could have written it, it opens nothing.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { HostFile } from '../../src/compose/host-file.ts';
import { NO_HOST_SETTINGS } from '../../src/config/host-settings.ts';
import { failureOf } from '../support/bench.ts';

const ARMED = '[octopus-flasher]\narmed: yes\n';
let top: string;
let file: string;
let root: string;
let host: HostFile;
const at = (...parts: string[]) => join(top, ...parts);
const write = (text: string | Uint8Array, mode = 0o600) => {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  chmodSync(file, mode);
};
const refusal = async () => {
  const error = await failureOf(host.read());
  expect([error.code, error.place]).toEqual(['bad-config', expect.stringContaining(file)]);
  // What cannot be read does not open folders either, and is not mended by arming it.
  expect(await failureOf(host.imageRights(at('data', 'config', 'firmware')))).toMatchObject({
    code: 'bad-config',
  });
  expect(await failureOf(host.setArmed(true))).toMatchObject({ code: 'bad-config' });
  return `${error.message} ${error.advice}`;
};

beforeEach(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), 'octopus-host-')));
  root = at('data', 'config');
  mkdirSync(root, { recursive: true });
  file = at('data', 'octopus-flasher', 'host.conf');
  host = new HostFile(file, { home: at('home'), roots: [root, at('data', 'gcodes'), at('by-link')] });
});
afterEach(() => rmSync(top, { recursive: true, force: true }));

test('without a file nothing is open', async () => {
  expect(await host.read()).toBe(NO_HOST_SETTINGS);
  expect(await host.imageRights(join(root, 'firmware'))).toEqual({ folders: [], uploads: undefined });
});

test('read again each time: what the owner changes counts at once', async () => {
  write(ARMED);
  expect((await host.read()).isArmed).toBe(true);
  write('[octopus-flasher]\narmed: no\n');
  expect((await host.read()).isArmed).toBe(false);
  write('[octopus-flasher]\narmd: yes\n');
  expect(await refusal()).toContain('armed');
  rmSync(file);
  expect((await host.read()).isArmed).toBe(false);
});

test('a file that others may write is refused; one that they may only read is not', async () => {
  for (const mode of [0o666, 0o622, 0o660, 0o602, 0o777]) {
    write(ARMED, mode);
    expect(await refusal()).toContain('chmod 600');
    expect(statSync(file).mode & 0o777).toBe(mode);
  }
  write(ARMED, 0o644);
  expect((await host.read()).isArmed).toBe(true);
});

test('a file of another user is refused', async () => {
  write(ARMED);
  if (process.getuid?.() === 0) chownSync(file, 65_534, 65_534);
  else {
    rmSync(file);
    symlinkSync('/etc/hostname', file);
  }
  expect(await refusal()).toContain('another user');
});

test("a file in Moonraker's folder is refused, whatever link leads there", async () => {
  writeFileSync(join(root, 'mine.conf'), ARMED, { mode: 0o600 });
  mkdirSync(dirname(file));
  symlinkSync(join(root, 'mine.conf'), file);
  expect(await refusal()).toContain(root);

  rmSync(dirname(file), { recursive: true });
  mkdirSync(join(root, 'inner'));
  writeFileSync(join(root, 'inner', 'host.conf'), ARMED, { mode: 0o600 });
  symlinkSync(join(root, 'inner'), dirname(file));
  expect(await refusal()).toContain(root);

  // Without a file a first arming would begin there.
  rmSync(join(root, 'inner', 'host.conf'));
  expect(await failureOf(host.setArmed(true))).toMatchObject({ code: 'bad-config' });
  expect(readdirSync(join(root, 'inner'))).toEqual([]);
});

test('a root that is a link itself', async () => {
  mkdirSync(at('elsewhere'));
  symlinkSync(at('elsewhere'), at('by-link'));
  writeFileSync(at('elsewhere', 'host.conf'), ARMED, { mode: 0o600 });
  mkdirSync(dirname(file));
  symlinkSync(at('elsewhere', 'host.conf'), file);
  expect(await refusal()).toContain(at('elsewhere'));
});

test('what is no file of settings', async () => {
  mkdirSync(file, { recursive: true });
  await refusal();
  rmSync(file, { recursive: true });
  write(`${ARMED}#${'x'.repeat(300_000)}`);
  await refusal();
  write(Buffer.from('[octopus-flasher]\n# f\xfcr uns\narmed: yes\n', 'latin1'));
  expect(await refusal()).toContain('UTF-8');
  expect(readFileSync(file).includes(0xfc)).toBe(true);
});

test('arming keeps every other byte', async () => {
  const text = (armed: string) =>
    `\uFEFF# mine\r\n[octopus-flasher] # \u00fc\r\n\r\n  armed :  ${armed}   # until Friday\r\nallow_uploads: yes\r\nfirmware_folders:\r\n  ~/firmware\r\n\r\n[source klipper]\r\npath: ~/klipper`;
  write(text('no'), 0o640);
  await host.setArmed(true);
  expect(readFileSync(file, 'utf8')).toBe(text('yes'));
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(await host.read()).toMatchObject({ isArmed: true, allowsUploads: true });
  await host.setArmed(false);
  expect(readFileSync(file, 'utf8')).toBe(text('no'));
  expect(readdirSync(dirname(file))).toEqual(['host.conf']);
});

test('the first arming writes a file that explains itself, for the owner alone', async () => {
  const before = process.umask(0);
  try {
    await host.setArmed(true);
  } finally {
    process.umask(before);
  }
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(dirname(file)).mode & 0o777).toBe(0o700);
  const text = readFileSync(file, 'utf8');
  expect(text).toMatch(/^armed: yes$/m);
  for (const key of ['firmware_folders', 'power_device', 'allow_uploads']) expect(text).toContain(`#${key}`);
  expect(await host.read()).toEqual({ ...NO_HOST_SETTINGS, isArmed: true });
  await host.setArmed(false);
  expect((await host.read()).isArmed).toBe(false);
  // As people do who want what the comments offer.
  write(
    text
      .replace('#firmware_folders:\n#    ', 'firmware_folders:\n    ')
      .replace('#allow_uploads: no', 'allow_uploads: yes'),
  );
  expect(await host.read()).toMatchObject({
    allowsUploads: true,
    firmwareFolders: [{ path: at('home', 'firmware') }],
  });
});

test('a disk that does not take it: the old file stays, and no half one beside it', async () => {
  // The longest path that Linux takes for host.conf is too short for the file that is written beside it.
  let deep = top;
  while (deep.length + 101 < 4070) deep = join(deep, 'd'.repeat(100));
  deep = join(deep, 'd'.repeat(4070 - deep.length - 1));
  mkdirSync(deep, { recursive: true });
  file = join(deep, 'host.conf');
  host = new HostFile(file, { home: top, roots: [] });
  write('[octopus-flasher]\narmed: no\n');
  expect(await failureOf(host.setArmed(true))).toMatchObject({ code: 'store-failed', place: file });
  expect(readFileSync(file, 'utf8')).toContain('armed: no');
  expect(readdirSync(deep)).toEqual(['host.conf']);

  writeFileSync(at('no-folder'), '');
  const nowhere = new HostFile(at('no-folder', 'host.conf'), { home: top, roots: [] });
  expect(await failureOf(nowhere.setArmed(true))).toMatchObject({ code: 'store-failed', advice: /\w/ });
  expect(existsSync(at('no-folder', 'host.conf'))).toBe(false);
});

test('rights: folders that are there, outside of what Moonraker can write', async () => {
  mkdirSync(at('firmware'));
  symlinkSync(at('firmware'), at('fw-link'));
  write(`[octopus-flasher]\nallow_uploads: yes\nfirmware_folders:\n  ${at('fw-link')}\n  ${at('missing')}\n`);
  expect(await host.imageRights(join(root, 'firmware'))).toEqual({
    folders: [{ asWritten: at('fw-link'), real: at('firmware') }],
    uploads: { asWritten: join(root, 'firmware'), real: join(root, 'firmware') },
  });
  for (const inside of [root, join(root, 'firmware'), at('data'), at('into-root')]) {
    mkdirSync(join(root, 'firmware'), { recursive: true });
    if (inside === at('into-root')) symlinkSync(join(root, 'firmware'), inside);
    write(`[octopus-flasher]\nfirmware_folders:\n  ${inside}\n`);
    const error = await failureOf(host.imageRights(join(root, 'firmware')));
    expect(error).toMatchObject({ code: 'bad-config', place: `${file}:2` });
  }
});
