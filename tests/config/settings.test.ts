// octopus-flasher.conf: what it may say, and each refusal with its line and the cure.
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { readSettings } from '../../src/config/settings.ts';
import { answerOrRefusal, refused } from './refused.ts';

const FACTS = { home: '/home/pi', knownBoards: ['octopus-v1.1-f446', 'octopus-pro-h723'] };
const read = (text: string) => readSettings(text, 'octopus-flasher.conf', FACTS);
const boardOf = (lines: string) => read(`[board main]\nboard: octopus-pro-h723\n${lines}`).boards[0];

test('an empty file is a host with one printer and no board', () => {
  expect(read('')).toEqual({
    logLevel: 'info',
    listen: undefined,
    printers: [
      {
        name: 'printer',
        moonraker: { kind: 'unix', path: '/home/pi/printer_data/comms/moonraker.sock' },
        apiKey: undefined,
        notifier: undefined,
      },
    ],
    boards: [],
  });
});

test('everything that can be said', () => {
  const settings = read(`# my printers
[octopus-flasher]
log_level: debug
listen: 0.0.0.0:7130
[printer left]
moonraker: ~/left_data/comms/moonraker.sock
[printer right]
moonraker: https://pi.local:7130/right
api_key: 0123456789abcdef0123456789abcdef
notifier: phone
[board octopus-v1.1-f446]
printer: left
[board tall]
board: octopus-pro-h723
printer: right
boot0_pin: gpio5
reset_pin: gpiochip1/gpio6
image: build:tall
serial: /dev/serial/by-id/usb-Klipper_stm32h723xx_12345-if00
bus_path: 1-1.4
notifier: bell
keep_backups: 7
`);
  expect(settings).toMatchObject({ logLevel: 'debug', listen: { host: '0.0.0.0', port: 7130 } });
  expect(settings.printers).toMatchObject([
    { name: 'left', moonraker: { kind: 'unix', path: '/home/pi/left_data/comms/moonraker.sock' } },
    {
      name: 'right',
      moonraker: { kind: 'websocket', url: 'wss://pi.local:7130/right/websocket' },
      apiKey: '0123456789abcdef0123456789abcdef',
      notifier: 'phone',
    },
  ]);
  expect(settings.boards).toMatchObject([
    { name: 'octopus-v1.1-f446', board: 'octopus-v1.1-f446', printer: 'left', pins: {} },
    {
      name: 'tall',
      board: 'octopus-pro-h723',
      printer: 'right',
      pins: { boot0: 'gpio5', nrst: 'gpiochip1/gpio6' },
      image: 'build:tall',
      serial: '/dev/serial/by-id/usb-Klipper_stm32h723xx_12345-if00',
      busPath: '1-1.4',
      notifier: 'bell',
      keepBackups: 7,
    },
  ]);
});

describe('addresses', () => {
  test.each([
    ['http://localhost:7125', 'ws://localhost:7125/websocket'],
    ['ws://localhost:7125/websocket', 'ws://localhost:7125/websocket'],
    ['https://[::1]/', 'wss://[::1]/websocket'],
    ['wss://x/moonraker/', 'wss://x/moonraker/websocket'],
  ])('%s', (written, url) => {
    expect(read(`[octopus-flasher]\nmoonraker: ${written}`).printers[0]?.moonraker).toEqual({
      kind: 'websocket',
      url,
    });
  });

  test.each([
    ['7130', { host: '127.0.0.1', port: 7130 }],
    ['[::1]:7130', { host: '::1', port: 7130 }],
    ['pi.local:7130', { host: 'pi.local', port: 7130 }],
  ])('listen: %s', (written, listen) => {
    expect(read(`[octopus-flasher]\nlisten: ${written}`).listen).toEqual(listen);
  });

  test.each([
    ['~/firmware//x.bin', '/home/pi/firmware/x.bin'],
    ['/srv/x.bin', '/srv/x.bin'],
    ['backup:2026-11-21_1', 'backup:2026-11-21_1'],
    ['upload:klipper new.bin', 'upload:klipper new.bin'],
  ])('image: %s', (written, image) => {
    expect(boardOf(`image: ${written}`)?.image).toBe(image);
  });
});

describe('pins', () => {
  test.each([
    'gpio26',
    'gpiochip1/gpio8',
    'pinctrl-rp1/gpio26',
    'pinctrl-bcm2711/26',
    'viperboard gpio a/gpio0',
    'GPIO26',
    'ID_SDA',
    'PC7',
    'none',
  ])('%s', (pin) => {
    expect(boardOf(`boot0_pin: ${pin}`)?.pins.boot0).toBe(pin);
  });

  test.each([
    ['!gpio26', /never inverted/],
    ['^gpio26', /never inverted/],
    ['~gpio26', /never inverted/],
    ['host:gpio26', /no "host:" in front/],
    ['gpio', /number is missing/],
    ['gpio4096', /lines go up to/],
    ['gpiochip999/gpio1', /chips go up to/],
    ['gpiochip0/', /no line/],
    ['/gpio1', /no chip/],
    ['a/b/c', /no line/],
    ['26', /no line/],
    ['../gpio1', /no chip/],
    ['gpio 26', /no line/],
    ['gpiochip0 /gpio1', /no chip/],
    ['GPIO\u0662', /no line/],
  ])('%s is refused', (pin, message) => {
    const error = refused(() => boardOf(`boot0_pin: ${pin}`));
    expect(error.place).toBe('octopus-flasher.conf:3');
    expect(error.message).toMatch(message);
    expect(error.advice).toMatch(/gpiochip1\/gpio8/);
  });
});

describe('refused', () => {
  const board = '[board main]\nboard: octopus-pro-h723\n';
  test.each([
    ['an unknown section', '[octopus-flaser]', 1, /no section/, /Did you mean octopus-flasher\?/],
    ['another unknown section', '[bord main]', 1, /no section/, /Did you mean board\?/],
    ['a board without a name', '[board]', 1, /no name/, /\[board NAME\]/],
    ['a name like a path', '[board ../x]', 1, /no name/, /letters, digits/],
    ['a name of two words', '[board a b]', 1, /no name/, /without spaces/],
    ['the same name in capitals', '[printer a]\n[printer A]', 2, /twice: lines 1 and 2/, /differ/],
    [
      'a name that no file can have',
      '[board Main]',
      1,
      /small letters/,
      /Write \[board main\], in both files/,
    ],
    ['an unknown key', `${board}imgae: x`, 3, /"imgae"/, /Did you mean image\?/],
    [
      'an unknown board',
      '[board main]\nboard: octopus-pro-h732',
      2,
      /cannot be/,
      /Did you mean octopus-pro-h723\?/,
    ],
    ['no board', '[board main]\nimage: /x', 1, /which board/, /Known boards: octopus-v1.1-f446/],
    ['a printer that is none', `${board}printer: left`, 3, /cannot be/, /Known values: printer/],
    ['no printer of two', `[printer a]\n[printer b]\n${board}`, 3, /which printer/, /a, b/],
    [
      'moonraker for no printer',
      '[printer a]\n[octopus-flasher]\nmoonraker: /x',
      3,
      /"moonraker"/,
      /\[printer a\]/,
    ],
    [
      'one pin for both',
      `${board}boot0_pin: gpio5\nreset_pin: gpiochip0/gpio5`,
      4,
      /same pin/,
      /a wire each/,
    ],
    ['armed', '[octopus-flasher]\narmed: yes', 2, /"armed"/, /host\.conf.*octopus arm/],
    ['a power device', `${board}power_device: psu`, 3, /"power_device"/, /host\.conf/],
    ['a folder', '[octopus-flasher]\nfirmware_folders: /', 2, /"firmware_folders"/, /host\.conf/],
    ['a level', '[octopus-flasher]\nlog_level: wran', 2, /cannot be "wran"/, /Did you mean warn\?/],
    ['no address', '[octopus-flasher]\nmoonraker: localhost:7125', 2, /cannot be/, /http:\/\/HOST:7125/],
    ['another scheme', '[octopus-flasher]\nmoonraker: ftp://x', 2, /cannot be/, /moonraker\.sock/],
    ['a relative socket', '[octopus-flasher]\nmoonraker: ~moonraker.sock', 2, /cannot be/, /whole path/],
    ['a low port', '[octopus-flasher]\nlisten: 80', 2, /cannot be/, /1024 to 65535/],
    ['no port', '[octopus-flasher]\nlisten: localhost', 2, /cannot be/, /ADDRESS:PORT/],
    ['a short api_key', '[octopus-flasher]\napi_key: x', 2, /is no key/, /Copy the key/],
    ['a relative image', `${board}image: klipper.bin`, 3, /cannot be/, /whole path/],
    ['an image with ..', `${board}image: ~/firmware/../.ssh/x`, 3, /cannot be/, /without "\.\."/],
    ['an image of another kind', `${board}image: bild:x`, 3, /cannot be/, /Did you mean build\?/],
    ['an image with a path behind its kind', `${board}image: upload:../x`, 3, /cannot be/, /letters, digits/],
    ['a disk for a serial port', `${board}serial: /dev/sda`, 3, /cannot be/, /by-id/],
    ['a path out of by-id', `${board}serial: /dev/serial/by-id/../../sda`, 3, /cannot be/, /by-id/],
    ['keeping nothing', `${board}keep_backups: 0`, 3, /cannot be/, /from 1 to 1000/],
    ['half a backup', `${board}keep_backups: 2.5`, 3, /cannot be/, /a whole number/],
    ['no bus path', `${board}bus_path: usb1`, 3, /cannot be/, /1-1\.4/],
  ])('%s', (_, text, line, message, advice) => {
    const error = refused(() => read(text));
    expect(error.place).toBe(`octopus-flasher.conf:${line}`);
    expect(error.message).toMatch(message);
    expect(error.advice).toMatch(advice);
  });

  test.each([
    'moonraker: http://me:hunter2secret@pi',
    'moonraker: x://me:hunter2secret@',
    'api_key: hunter2 secret',
  ])('a secret is not repeated: %s', (line) => {
    const { message, advice } = refused(() => read(`[octopus-flasher]\n${line}`));
    expect(message + advice).not.toMatch(/hunter2/);
  });
});

const keys = [
  'board',
  'printer',
  'boot0_pin',
  'reset_pin',
  'image',
  'serial',
  'bus_path',
  'notifier',
  'api_key',
  'keep_backups',
];
const words = ['moonraker', 'log_level', 'listen', 'armed', '__proto__', 'constructor'];
const line = fc.oneof(
  fc.constantFrom('[octopus-flasher]', '[board main]', '[board a]', '[printer x]', '[printer]', '[x]'),
  fc
    .tuple(
      fc.constantFrom(...keys, ...words),
      fc.oneof(fc.constantFrom('octopus-pro-h723', 'x', 'gpio5', '/a/b', 'ws://a', 'info'), fc.string()),
    )
    .map(([key, value]) => `${key}: ${value}`),
);

test('any file: settings or a refusal', () => {
  fc.assert(
    fc.property(fc.array(line, { maxLength: 15 }), (lines) => {
      const settings = answerOrRefusal(() => read(lines.join('\n')));
      for (const { board } of settings?.boards ?? []) expect(FACTS.knownBoards).toContain(board);
    }),
    { numRuns: 1000 },
  );
});
