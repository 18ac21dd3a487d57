// Both wires on real sockets: the same contract, and what is particular to each.
import { afterEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocketServer, type WebSocket } from 'ws';
import { unixDialer } from '../../src/moonraker/unix-wire.ts';
import { webSocketDialer, webSocketUrl } from '../../src/moonraker/websocket-wire.ts';
import {
  UNIX_LIMIT_BYTES,
  WEBSOCKET_LIMIT_BYTES,
  type Dialer,
  type WireListener,
} from '../../src/moonraker/wire.ts';

/** A listener that keeps everything, and a promise for each next thing. */
class Ear implements WireListener {
  readonly heard: unknown[] = [];
  #wake: () => void = () => {};
  message(text: string): void {
    this.#add(text);
  }
  tooLong(head: string, sizeBytes: number): void {
    this.#add({ head: head.slice(0, 8), sizeBytes });
  }
  closed(reason: string): void {
    this.#add({ closed: reason });
  }
  async until(count: number): Promise<unknown[]> {
    while (this.heard.length < count) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.heard;
  }
  #add(what: unknown): void {
    this.heard.push(what);
    this.#wake();
  }
}

/** The other end of one connection. */
interface Peer {
  send(text: string): void;
  close(): void;
  readonly received: Ear;
  readonly request?: IncomingMessage;
}
interface Rig {
  readonly dialer: Dialer;
  readonly limitBytes: number;
  nextPeer(): Promise<Peer>;
}

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

function peers() {
  const waiting: Peer[] = [];
  let wake: (() => void) | undefined;
  return {
    add: (peer: Peer) => {
      waiting.push(peer);
      wake?.();
    },
    next: async () => {
      while (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return waiting.shift() as Peer;
    },
  };
}

function socketPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'octopus-wire-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  return join(folder, 'moonraker.sock');
}

async function listen(server: Server, ...where: [string] | [number, string]): Promise<void> {
  server.listen(...(where as [string]));
  await once(server, 'listening');
}

async function unixRig(): Promise<Rig> {
  const found = peers();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const received = new Ear();
    let parts: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => {
      let from = 0;
      for (let end = chunk.indexOf(3); end >= 0; end = chunk.indexOf(3, from)) {
        received.message(Buffer.concat([...parts, chunk.subarray(from, end)]).toString('utf8'));
        [parts, from] = [[], end + 1];
      }
      parts.push(chunk.subarray(from));
    });
    socket.on('error', () => {});
    found.add({ received, send: (what) => socket.write(`${what}\x03`), close: () => socket.end() });
  });
  const path = socketPath();
  await listen(server, path);
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { dialer: unixDialer(path), limitBytes: UNIX_LIMIT_BYTES, nextPeer: found.next };
}

async function webSocketRig(apiKey?: string): Promise<Rig> {
  const found = peers();
  const http = createHttpServer();
  const server = new WebSocketServer({ server: http, path: '/printer/websocket', maxPayload: 64 << 20 });
  server.on('connection', (socket: WebSocket, request) => {
    const received = new Ear();
    socket.on('message', (data) => received.message((data as Buffer).toString('utf8')));
    found.add({
      received,
      request,
      send: (what) => socket.send(what),
      close: () => socket.close(1001, 'Server Shutdown'),
    });
    // Said in the same turn as the connection: it must not be lost.
    socket.send('hello');
  });
  await listen(http, 0, '127.0.0.1');
  cleanups.push(() => {
    for (const client of server.clients) client.terminate();
    http.close();
  });
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/printer/`;
  const dialer = webSocketDialer(apiKey === undefined ? { url } : { url, apiKey });
  return { dialer, limitBytes: WEBSOCKET_LIMIT_BYTES, nextPeer: found.next };
}

const signal = new AbortController().signal;

describe.each([
  ['Unix socket', unixRig, []],
  ['WebSocket', () => webSocketRig(), ['hello']],
] as [string, () => Promise<Rig>, string[]][])('%s', (_name, makeRig, greeting) => {
  const open = async () => {
    const rig = await makeRig();
    const ear = new Ear();
    const [wire, peer] = await Promise.all([rig.dialer.connect(ear, signal), rig.nextPeer()]);
    await ear.until(greeting.length);
    return { rig, ear, wire, peer };
  };

  test('carries texts both ways, whole and in order', async () => {
    const { ear, wire, peer } = await open();
    const texts = ['{}', JSON.stringify({ word: 'Grüße \u{1f419}' }), JSON.stringify('z'.repeat(300_000))];
    for (const text of texts) wire.send(text);
    for (const text of texts) peer.send(text);
    expect(await peer.received.until(3)).toEqual(texts);
    expect(await ear.until(greeting.length + 3)).toEqual([...greeting, ...texts]);
  });

  test('tells once that the other side has closed, and sends nothing more', async () => {
    const { ear, wire, peer } = await open();
    peer.close();
    await ear.until(greeting.length + 1);
    wire.send('"too late"');
    wire.close('we close too');
    expect(ear.heard.slice(greeting.length)).toEqual([
      { closed: expect.stringContaining('Moonraker closed') },
    ]);
  });

  test('tells once that we have closed', async () => {
    const { ear, wire } = await open();
    wire.close('enough');
    wire.close('again');
    expect(ear.heard.slice(greeting.length)).toEqual([{ closed: 'enough' }]);
  });

  test('refuses to send what would cost the connection; the longest that is allowed arrives', async () => {
    const { rig, wire, peer } = await open();
    expect(() => wire.send('x'.repeat(rig.limitBytes + 1))).toThrow(RangeError);
    wire.send('x'.repeat(rig.limitBytes));
    const [text] = await peer.received.until(1);
    expect(String(text)).toHaveLength(rig.limitBytes);
  });

  test('a message over the limit is told by its head, and the connection lives', async () => {
    const { rig, ear, peer } = await open();
    peer.send(`"${'x'.repeat(rig.limitBytes)}"`);
    peer.send('"next"');
    const heard = await ear.until(greeting.length + 2);
    expect(heard.slice(greeting.length)).toEqual([
      { head: '"xxxxxxx', sizeBytes: rig.limitBytes + 2 },
      '"next"',
    ]);
  });

  test('rejects when it is called off, before and while it connects', async () => {
    const rig = await makeRig();
    await expect(rig.dialer.connect(new Ear(), AbortSignal.abort())).rejects.toThrow();
    const abort = new AbortController();
    const connecting = rig.dialer.connect(new Ear(), abort.signal);
    abort.abort();
    await expect(connecting).rejects.toThrow();
  });
});

test('nobody listens: both reject with what the system says', async () => {
  await expect(unixDialer(socketPath()).connect(new Ear(), signal)).rejects.toThrow('ENOENT');
  const taken = createServer();
  await listen(taken, 0, '127.0.0.1');
  const { port } = taken.address() as AddressInfo;
  taken.close();
  await once(taken, 'close');
  await expect(webSocketDialer({ url: `ws://127.0.0.1:${port}` }).connect(new Ear(), signal)).rejects.toThrow(
    'ECONNREFUSED',
  );
});

test('the WebSocket goes to the route prefix with the API key', async () => {
  const rig = await webSocketRig('secret');
  const [, peer] = await Promise.all([rig.dialer.connect(new Ear(), signal), rig.nextPeer()]);
  expect(peer.request?.headers['x-api-key']).toBe('secret');
  expect(peer.request?.url).toBe('/printer/websocket');
});

test('a WebSocket refused with 500, as over max_websocket_connections, rejects', async () => {
  const http = createHttpServer((_request, response) => response.writeHead(500).end());
  http.on('upgrade', (_request, socket) => socket.end('HTTP/1.1 500 Internal Server Error\r\n\r\n'));
  await listen(http, 0, '127.0.0.1');
  cleanups.push(() => http.close());
  const { port } = http.address() as AddressInfo;
  await expect(
    webSocketDialer({ url: `http://127.0.0.1:${port}` }).connect(new Ear(), signal),
  ).rejects.toThrow('500');
});

test.each([
  ['http://host:7125', 'ws://host:7125/websocket'],
  ['https://host:7130/', 'wss://host:7130/websocket'],
  ['ws://host/prefix', 'ws://host/prefix/websocket'],
  ['wss://host/websocket', 'wss://host/websocket'],
])('%s is %s', (given, url) => expect(webSocketUrl(given)).toBe(url));

test('what is no address of a web socket is refused', () => {
  expect(() => webSocketUrl('file:///etc/passwd')).toThrow(TypeError);
  expect(() => webSocketUrl('printer')).toThrow('Invalid URL');
});
