// `moonraker: none`: a board without a printer is said, never guessed from a Moonraker that is not there.
import { expect, test } from '@jest/globals';
import { readSettings } from '../../src/config/settings.ts';

const read = (text: string) =>
  readSettings(text, 'octopus-flasher.conf', { home: '/home/pi', knownBoards: ['octopus-v1.1-f446'] });

test('none is a word of its own; without the key it is the usual socket', () => {
  expect(read('[octopus-flasher]\nmoonraker: none\n').printers[0]?.moonraker).toEqual({ kind: 'none' });
  expect(read('').printers[0]?.moonraker).toEqual({
    kind: 'unix',
    path: '/home/pi/printer_data/comms/moonraker.sock',
  });
});

test('of several printers each says it for itself', () => {
  const { printers } = read('[printer a]\nmoonraker: none\n[printer b]\n');
  expect(printers.map(({ moonraker }) => moonraker.kind)).toEqual(['none', 'unix']);
});

test.each(['None', 'no', 'none.sock', 'nowhere', 'none/none'])('%s is no address', (word) => {
  expect(() => read(`[octopus-flasher]\nmoonraker: ${word}\n`)).toThrow(
    expect.objectContaining({ code: 'bad-config', advice: expect.stringContaining('none for a board') }),
  );
});
