// The command line's end of the daemon's socket: its errors as they were, and never a wait for nobody.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attachToDaemon } from '../../src/daemon/local-client.ts';
import { failureOf } from '../support/bench.ts';

let top: string;
let path: string;
let server: Server;
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'octopus-client-'));
  path = join(top, 'own.sock');
});
afterEach(() => {
  server?.close();
  rmSync(top, { recursive: true, force: true });
});

async function serve(take: (socket: Socket, text: string) => void): Promise<void> {
  server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      for (const text of chunk.toString().split('\u0003')) if (text !== '') take(socket, text);
    });
  });
  server.listen({ path });
  await once(server, 'listening');
}

test('no daemon: nothing there, a dead socket, a file, a name that no socket can have', async () => {
  expect(await attachToDaemon(path)).toBeUndefined();
  expect(await attachToDaemon(join(top, 'no', 'folder'))).toBeUndefined();
  expect(await attachToDaemon(join(top, 'x'.repeat(150)))).toBeUndefined();
  writeFileSync(path, '');
  expect(await attachToDaemon(path)).toBeUndefined();
  expect(await attachToDaemon(join(path, 'below'))).toBeUndefined();
});

test("the daemon's error is the same one here", async () => {
  const data = {
    code: 'gate-closed',
    message: 'not now',
    advice: 'wait',
    place: 'printer',
    onBoard: 'untouched',
  };
  await serve((socket, text) => {
    const { id, method } = JSON.parse(text);
    const error = method === 'odd' ? { code: -1, message: 'odd' } : { code: -32_001, message: 'long', data };
    socket.write(`${JSON.stringify({ jsonrpc: '2.0', id, error })}\u0003`);
  });
  const link = await attachToDaemon(path);
  expect(await failureOf(link!.call('octopus.flash', {}))).toMatchObject({ ...data, outcome: 'refused' });
  expect(await failureOf(link!.call('odd', {}))).toMatchObject({ code: 'internal', message: 'odd' });
  link!.close();
});

test('a daemon that goes away before it answers, and one that has gone', async () => {
  await serve((socket) => socket.destroy());
  const link = await attachToDaemon(path);
  expect(await failureOf(link!.call('octopus.flash', {}))).toMatchObject({
    code: 'no-daemon',
    outcome: 'failed',
  });
  await link!.gone;
  expect(await failureOf(link!.callAsRemote('octopus.flash', {}))).toMatchObject({ code: 'no-daemon' });
});
