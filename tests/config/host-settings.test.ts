// host.conf: who may have written it comes first; arming changes one word.
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { NO_HOST_SETTINGS, readHostSettings, withArmed } from '../../src/config/host-settings.ts';
import { readSettings } from '../../src/config/settings.ts';
import { wiringOf } from '../../src/config/wiring.ts';
import { answerOrRefusal, refused } from './refused.ts';

const FACTS = {
  home: '/home/pi',
  mode: 0o600,
  isOwn: true,
  real: '/home/pi/printer_data/octopus-flasher/host.conf',
  roots: ['/home/pi/printer_data/config', '/home/pi/printer_data/gcodes'],
};
const read = (text: string, facts: Partial<typeof FACTS> = {}) =>
  readHostSettings(text, 'host.conf', { ...FACTS, ...facts });

test('an empty file opens nothing, as no file does', () => {
  expect(read('')).toEqual(NO_HOST_SETTINGS);
  expect(NO_HOST_SETTINGS).toMatchObject({ isArmed: false, allowsUploads: false, firmwareFolders: [] });
});

test('everything that can be said', () => {
  const settings = read(`[octopus-flasher]
armed: yes
allow_uploads: on
firmware_folders:
  ~/firmware
  /srv/images/
power_device: psu
[source klipper]
path: ~/klipper
[board main]
boot0_pin: gpio5
reset_pin: gpio6
power_device: relay
`);
  expect(settings).toMatchObject({
    isArmed: true,
    allowsUploads: true,
    firmwareFolders: [
      { path: '/home/pi/firmware', line: 4 },
      { path: '/srv/images', line: 4 },
    ],
    powerDevice: 'psu',
  });
  expect(settings.sources.get('klipper')).toEqual({ path: '/home/pi/klipper', line: 9 });
  expect(settings.boards.get('main')).toMatchObject({
    pins: { boot0: 'gpio5', nrst: 'gpio6' },
    powerDevice: 'relay',
  });
});

describe('a file that others may have written is not read', () => {
  test.each([0o620, 0o602, 0o666, 0o777, 0o660])('mode %o', (mode) => {
    const error = refused(() => read('[octopus-flasher]\narmed: yes', { mode }));
    expect(error.message).toMatch(/others may write the file/);
    expect(error.advice).toMatch(/chmod 600/);
  });

  test.each([0o600, 0o400, 0o640, 0o644])('mode %o is fine', (mode) => {
    expect(read('', { mode })).toEqual(NO_HOST_SETTINGS);
  });

  test('another owner, or a folder of Moonraker', () => {
    expect(refused(() => read('', { isOwn: false })).message).toMatch(/another user/);
    const real = '/home/pi/printer_data/config/host.conf';
    expect(refused(() => read('', { real })).message).toMatch(/Moonraker's folder/);
    expect(refused(() => withArmed('', 'host.conf', { ...FACTS, real }, true)).advice).toMatch(/Move it/);
  });
});

test.each([
  ['an unknown key', '[octopus-flasher]\narmd: yes', 2, /Did you mean armed\?/],
  ['armed with what', '[octopus-flasher]\narmed: maybe', 2, /yes, no/],
  ['pins without a board', '[octopus-flasher]\nboot0_pin: gpio5', 2, /\[board NAME\]/],
  ['the whole disk', '[octopus-flasher]\nfirmware_folders: /', 2, /such as ~\/firmware/],
  ['the whole home', '[octopus-flasher]\nfirmware_folders: ~/', 2, /such as ~\/firmware/],
  ['a relative folder', '[octopus-flasher]\nfirmware_folders: firmware', 2, /whole path/],
  ['a tree without a path', '[source klipper]', 1, /path: ~\/klipper/],
  ['an unknown section', '[sources]', 1, /Did you mean source\?/],
])('%s is refused', (_, text, line, advice) => {
  const error = refused(() => read(text));
  expect(error.place).toBe(`host.conf:${line}`);
  expect(error.advice).toMatch(advice);
});

describe('arming', () => {
  test.each([
    ['', '[octopus-flasher]\narmed: yes\n'],
    [
      '# mine\n[octopus-flasher]\r\nArmed =  no  ; c\r\n',
      '# mine\n[octopus-flasher]\r\nArmed =  yes  ; c\r\n',
    ],
    ['[source klipper]\npath: /k', '[source klipper]\npath: /k\n\n[octopus-flasher]\narmed: yes\n'],
  ])('%j', (before, after) => {
    expect(withArmed(before, 'host.conf', FACTS, true)).toBe(after);
    expect(read(after).isArmed).toBe(true);
    expect(read(withArmed(after, 'host.conf', FACTS, false)).isArmed).toBe(false);
  });

  test('there and back is the same file', () => {
    const comment = fc.constantFrom('', '# a', '; b', '  # c');
    fc.assert(
      fc.property(comment, comment, fc.constantFrom('\n', '\r\n'), (above, below, end) => {
        const text = [above, '[octopus-flasher]', 'armed: no # why', below, 'power_device: psu'].join(end);
        const armed = withArmed(text, 'host.conf', FACTS, true);
        expect(armed).not.toBe(text);
        expect(withArmed(armed, 'host.conf', FACTS, false)).toBe(text);
      }),
    );
  });
});

test('any file: settings or a refusal, and never armed by accident', () => {
  const line = fc.oneof(
    fc.constantFrom(
      '[octopus-flasher]',
      '[board a]',
      '[source a]',
      'path: ~/x',
      'boot0_pin: gpio1',
      '# armed: yes',
    ),
    fc
      .tuple(fc.constantFrom('firmware_folders', 'power_device', 'allow_uploads'), fc.string())
      .map(([key, value]) => `${key}: ${value}`),
    fc.string().filter((text) => !/armed/i.test(text)),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 10 }), (lines) => {
      expect(answerOrRefusal(() => read(lines.join('\n')))?.isArmed ?? false).toBe(false);
    }),
    { numRuns: 1000 },
  );
});

describe('both files together', () => {
  const known = { home: '/home/pi', knownBoards: ['one', 'two'] };
  const wiring = (settings: string, host: string) =>
    Object.fromEntries(wiringOf(readSettings(settings, 'octopus-flasher.conf', known).boards, read(host)));

  test('defaults, then host.conf', () => {
    expect(wiring('[board one]', '')).toEqual({
      one: { pins: { boot0: 'gpio26', nrst: 'gpio19' }, powerDevice: undefined },
    });
    const host =
      '[octopus-flasher]\npower_device: psu\n[board two]\nboot0_pin: none\nreset_pin: none\npower_device: b';
    expect(wiring('[board one]\n[board two]', host)).toEqual({
      one: { pins: { boot0: 'gpio26', nrst: 'gpio19' }, powerDevice: 'psu' },
      two: { pins: undefined, powerDevice: 'b' },
    });
  });

  test('octopus-flasher.conf may repeat a pin', () => {
    const host = '[board one]\nboot0_pin: gpio5\n';
    const settings = '[board one]\nboot0_pin: gpiochip0/gpio5\nreset_pin: gpio19';
    expect(wiring(settings, host).one?.pins).toEqual({ boot0: 'gpio5', nrst: 'gpio19' });
  });

  const two = '[board one]\n[board two]';
  test.each([
    [
      'another pin than the default',
      '[board one]\nreset_pin: gpio4',
      '',
      'octopus-flasher.conf:2',
      /reset_pin: gpio4/,
    ],
    [
      'another pin',
      '[board one]\nboot0_pin: gpio4',
      '[board one]\nboot0_pin: gpio5',
      'octopus-flasher.conf:2',
      /it alone/,
    ],
    [
      'a board that is none',
      '[board one]',
      '[board onne]\nboot0_pin: gpio5',
      'host.conf:1',
      /Did you mean one\?/,
    ],
    ['two boards at the default pins', two, '', 'octopus-flasher.conf:2', /its own boot0_pin/],
    [
      'one pin of two boards',
      two,
      '[board two]\nboot0_pin: gpio19\nreset_pin: gpio5',
      'host.conf:2',
      /its own/,
    ],
    ['one wire', '[board one]', '[board one]\nreset_pin: none', 'host.conf:1', /none for both/],
    [
      'a default taken for the other',
      '[board one]',
      '[board one]\nreset_pin: gpio26',
      'host.conf:1',
      /two different/,
    ],
  ])('%s is refused', (_, settings, host, place, advice) => {
    const error = refused(() => wiring(settings, host));
    expect(error.place).toBe(place);
    expect(error.advice).toMatch(advice);
  });
});
