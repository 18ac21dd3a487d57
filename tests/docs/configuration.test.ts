// The examples of docs/configuration.md are what the program takes, with and without their commented lines.
import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { boardNames, toolheadNames } from '../../src/boards/boards.ts';
import { ROUTES } from '../../src/boards/types.ts';
import { readHostSettings } from '../../src/config/host-settings.ts';
import { readSettings } from '../../src/config/settings.ts';
import { wiringOf } from '../../src/config/wiring.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../docs/configuration.md'), 'utf8');
const blocks = [...page.matchAll(/```ini\n# (\S+)\n(.*?)```/gs)].map(([, file = '', text = '']) => ({
  file,
  text,
}));
const uncommented = (text: string) => text.replaceAll(/^#(\w+:)/gm, '$1');
const settings = (text: string) =>
  readSettings(text, 'octopus-flasher.conf', {
    home: '/home/pi',
    knownBoards: [...boardNames(), ...toolheadNames()],
    knownRoutes: ROUTES,
  });
const host = (text: string) =>
  readHostSettings(text, 'host.conf', {
    home: '/home/pi',
    mode: 0o600,
    isOwn: true,
    real: '/home/pi/printer_data/octopus-flasher/host.conf',
    roots: [],
  });

test.each(blocks)('$file', ({ file, text }) => {
  const read = file === 'host.conf' ? host : settings;
  expect(() => read(text)).not.toThrow();
  expect(() => read(uncommented(text))).not.toThrow();
});

test('the two printers and the host file fit each other', () => {
  const [, two, own] = blocks.map(({ text }) => text);
  const wiring = wiringOf(settings(two ?? '').boards, host(own ?? ''));
  expect(wiring.get('voron')).toEqual({ pins: { boot0: 'gpio26', nrst: 'gpio19' }, powerDevice: 'printer' });
  expect(wiring.get('ratrig')).toEqual({
    pins: { boot0: 'gpio20', nrst: 'gpio21' },
    powerDevice: 'ratrig_psu',
  });
});
