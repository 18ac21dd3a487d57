// Whose printer a command is about, and what it says where there is none: the gate fails closed.
import { afterEach, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { printerOf } from '../../src/compose/printer-of.ts';
import { readSettings } from '../../src/config/settings.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
const home = () => {
  const folder = mkdtempSync(join(tmpdir(), 'octopus-printer-'));
  folders.push(folder);
  return folder;
};
const BOARD = 'octopus-v1.1-f446';
const at = (text: string, board: string | undefined, folder = '/home/nobody') =>
  printerOf(
    { settings: readSettings(text, 'octopus-flasher.conf', { home: folder, knownBoards: [BOARD] }) },
    board,
    '0.1.0',
  );
const TWO = `[printer a]\nmoonraker: none\n[printer b]\n[board ${BOARD}]\nprinter: a\n[board other]\nboard: ${BOARD}\nprinter: b\n`;

test('none: nothing is there to be asked, and nothing is stopped', async () => {
  const { printer, close } = at('[octopus-flasher]\nmoonraker: none\n', undefined);
  expect(await printer.read()).toEqual({
    state: 'absent',
    printing: false,
    paused: false,
    moving: false,
    zHomed: false,
    heaters: [],
  });
  await printer.stopKlipper();
  await printer.startKlipper();
  expect([await printer.canNodes(), await printer.verdict(1)]).toEqual([[], { state: 'none' }]);
  await expect(printer.setPower('psu', 'off')).rejects.toMatchObject({ code: 'printer-unreachable' });
  printer.onForeignStart(() => {})();
  await close();
});

test('each board has the printer that it says', async () => {
  expect((await at(TWO, BOARD).printer.read()).state).toBe('absent');
  const other = at(TWO, 'other');
  await expect(other.printer.read()).rejects.toMatchObject({ code: 'printer-unreachable' });
  await other.close();
});

test('several printers and no board: it is asked which', async () => {
  const { printer } = at(TWO, undefined);
  for (const ask of [() => printer.read(), () => printer.stopKlipper(), () => printer.verdict(1)])
    await expect(ask()).rejects.toMatchObject({
      code: 'printer-unreachable',
      advice: 'Name the board (--board NAME). Printers here: a, b.',
    });
});

test('a Moonraker that is not there is said at once, with both cures', async () => {
  const folder = home();
  const { printer, close } = at('', undefined, folder);
  const startedAt = performance.now();
  await expect(printer.read()).rejects.toMatchObject({
    code: 'printer-unreachable',
    place: `${folder}/printer_data/comms/moonraker.sock`,
    message: expect.stringContaining('ENOENT'),
    advice: expect.stringMatching(/systemctl status moonraker.*moonraker: none/s),
  });
  await expect(printer.stopKlipper()).rejects.toMatchObject({ code: 'printer-unreachable' });
  expect(performance.now() - startedAt).toBeLessThan(5000);
  await close();
});

test('a Moonraker that is there hears no agent, and is asked on one connection', async () => {
  const folder = home();
  const path = join(folder, 'moonraker.sock');
  const [asked, sockets]: [{ method: string; params?: object }[], Socket[]] = [[], []];
  const server = createServer((socket) => {
    sockets.push(socket);
    let rest = '';
    socket.on('data', (chunk) => {
      const parts = (rest + chunk.toString()).split('\x03');
      rest = parts.pop() ?? '';
      for (const part of parts) {
        const { id, ...request } = JSON.parse(part);
        asked.push(request);
        const result =
          request.method === 'server.info' ? { klippy_state: 'disconnected', klippy_connected: false } : {};
        socket.write(`${JSON.stringify({ jsonrpc: '2.0', id, result })}\x03`);
      }
    });
  });
  await new Promise<void>((resolve) => void server.listen(path, resolve));
  const { printer, close } = at(`[octopus-flasher]\nmoonraker: ${path}\n`, undefined);
  await printer.read().catch(() => {});
  await printer.read().catch(() => {});
  expect(sockets).toHaveLength(1);
  expect(asked[0]).toMatchObject({
    method: 'server.connection.identify',
    params: { client_name: 'octopus command', type: 'other' },
  });
  expect(asked.filter(({ method }) => method.includes('register'))).toEqual([]);
  expect(asked.length).toBeGreaterThan(1);
  await close();
  server.close();
});
