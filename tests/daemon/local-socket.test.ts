// The daemon's own socket: for its owner alone, an answer for every request, and nobody can hold it up.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtempSync, existsSync, lstatSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Desk } from '../../src/daemon/desk.ts';
import { AS_REMOTE, LocalSocket } from '../../src/daemon/local-socket.ts';
import type { Origin } from '../../src/daemon/origin.ts';
import { OctopusError } from '../../src/errors.ts';
import type { JobEvent } from '../../src/jobs/job.ts';
import { RealClock } from '../../src/virtual/real-clock.ts';
import { failureOf } from '../support/bench.ts';

type Call = readonly [string, unknown, Origin];
let top: string;
let path: string;
let calls: Call[];
let local: LocalSocket | undefined;
let clock: RealClock;
let answer: (name: string) => Promise<object>;
const sockets: Socket[] = [];
const desk = {
  call: async (name: string, params: object, origin: Origin) => {
    calls.push([name, params, origin]);
    return answer(name);
  },
} as unknown as Desk;
const open = async () => {
  local = await LocalSocket.open(path, desk, clock);
  return local;
};
const EVENT = {
  job: 'j',
  method: 'octopus.flash',
  board: 'b',
  kind: 'note',
  n: 1,
  text: 't',
} as unknown as JobEvent;

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'octopus-socket-'));
  path = join(top, 'comms', 'own.sock');
  calls = [];
  clock = new RealClock();
  answer = async () => ({ ok: true });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await local?.close();
  local = undefined;
  clock.stop();
  rmSync(top, { recursive: true, force: true });
});

/** A client, and what it was sent, message by message. */
async function client() {
  const socket = connect({ path });
  sockets.push(socket);
  await once(socket, 'connect');
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const messages = () =>
    text
      .split('\u0003')
      .slice(0, -1)
      .map((one) => JSON.parse(one));
  const until = async (count: number) => {
    for (let tries = 0; messages().length < count && tries < 300; tries++) await sleep(10);
    return messages();
  };
  const ask = (request: unknown) =>
    socket.write(`${typeof request === 'string' ? request : JSON.stringify(request)}\u0003`);
  return { socket, ask, until, messages };
}
const request = (id: number, method = 'octopus.status', params: unknown = {}) => ({
  jsonrpc: '2.0',
  id,
  method,
  params,
});

test("the file is the owner's alone from its first moment, and others keep the umask they had", async () => {
  const before = process.umask(0);
  // oxlint-disable-next-line typescript/unbound-method -- called with its own this below
  const listen = Server.prototype.listen;
  const seen: number[] = [];
  try {
    // listen() has made the file when it returns.
    Server.prototype.listen = function watched(this: Server, ...args: unknown[]) {
      Reflect.apply(listen, this, args);
      seen.push(lstatSync(path).mode & 0o777);
      return this;
    };
    await open();
    expect(seen).toEqual([0o600]);
    expect(process.umask()).toBe(0);
  } finally {
    process.umask(before);
    Server.prototype.listen = listen;
  }
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(lstatSync(path).isSocket()).toBe(true);
});

test('what a dead one left there is replaced; it goes with the daemon', async () => {
  const dead = await LocalSocket.open(path, desk, clock);
  await dead.close();
  expect(existsSync(path)).toBe(false);
  writeFileSync(path, 'no socket at all', { mode: 0o666 });
  await open();
  const { ask, until } = await client();
  ask(request(1));
  expect(await until(1)).toMatchObject([{ id: 1, result: { ok: true } }]);
});

test('a place where no socket can be is told with its cure', async () => {
  path = join(top, 'x'.repeat(120), 'own.sock');
  expect(await failureOf(open())).toMatchObject({
    code: 'store-failed',
    place: path,
    advice: expect.stringContaining('length'),
  });
  writeFileSync(join(top, 'file'), '');
  path = join(top, 'file', 'own.sock');
  expect(await failureOf(open())).toMatchObject({ code: 'store-failed', place: path });
});

test("requests are local; by AS_REMOTE they are a macro's", async () => {
  await open();
  const { ask, until } = await client();
  ask(request(1, 'octopus.reset', { board: 'b' }));
  ask(request(2, AS_REMOTE, { method: 'octopus.reset', params: { board: 'b' } }));
  ask(request(3, AS_REMOTE, { method: 'octopus.reset' }));
  ask(request(4, AS_REMOTE, { params: {} }));
  expect((await until(4)).toSorted((a, b) => a.id - b.id)).toMatchObject([
    { id: 1 },
    { id: 2 },
    { error: { data: { code: 'bad-parameter' } } },
    { error: {} },
  ]);
  expect(calls).toEqual([
    ['octopus.reset', { board: 'b' }, { via: 'local', printer: undefined }],
    ['octopus.reset', { board: 'b' }, { via: 'shell', printer: undefined }],
  ]);
});

test('every request is answered, also when the method throws or answers nonsense', async () => {
  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  const answers: Readonly<Record<string, () => Promise<object>>> = {
    'octopus.status': () => Promise.reject(new OctopusError('busy', 'no', { advice: 'later', place: 'p' })),
    'octopus.backups': () => Promise.reject(new TypeError('a fault')),
    'octopus.job_list': async () => null as unknown as object,
    'octopus.inspect': async () => circle,
  };
  answer = (name) => answers[name]?.() ?? Promise.resolve({ ok: true });
  await open();
  const { ask, until } = await client();
  const names = [...Object.keys(answers), 'octopus.nothing', 'constructor', 'toString'];
  names.forEach((name, index) => ask(request(index, name)));
  ask(request(100, 'octopus.reset', ['by', 'position']));
  ask(request(101));
  const got = (await until(names.length + 2)).toSorted((a, b) => a.id - b.id);
  expect(got.map(({ id, error }) => [id, error?.data?.code])).toEqual([
    [0, 'busy'],
    [1, 'internal'],
    [2, 'internal'],
    [3, 'internal'],
    [4, 'unknown-method'],
    [5, 'unknown-method'],
    [6, 'unknown-method'],
    [100, 'bad-parameter'],
    [101, 'busy'],
  ]);
});

test('garbage, pieces and what is too long', async () => {
  await open();
  const { socket, ask, until, messages } = await client();
  for (const text of [
    '',
    'no json',
    '[]',
    '7',
    'null',
    '{"id":1}',
    '{"method":"octopus.status"}',
    '{"id":{},"method":"octopus.status"}',
    '\u00ff\u0000',
    `{"id":1,"method":"octopus.status","params":{"board":${'['.repeat(50_000)}${']'.repeat(50_000)}}}`,
  ])
    ask(text);
  const wrong = await until(10);
  expect(wrong.map(({ id, error }) => [id, error.code])).toEqual([
    [null, -32_700],
    [null, -32_700],
    ...Array.from({ length: 6 }, () => [null, -32_600]),
    [null, -32_700],
    [null, -32_700],
  ]);
  expect(calls).toEqual([]);

  const whole = `${JSON.stringify(request(5, 'octopus.status', { board: '\u00fc' }))}\u0003`;
  for (const byte of Buffer.from(whole)) {
    socket.write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect((await until(11)).at(-1)).toMatchObject({ id: 5, result: { ok: true } });
  expect(calls[0]?.[1]).toEqual({ board: '\u00fc' });

  const before = process.memoryUsage().rss;
  for (let n = 0; n < 64; n++)
    if (!socket.write(Buffer.alloc(1024 * 1024, 0x20))) await once(socket, 'drain');
  expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
  ask('');
  ask(request(6));
  expect((await until(13)).slice(-2)).toMatchObject([
    { id: null, error: { code: -32_600 } },
    { id: 6, result: { ok: true } },
  ]);
  expect(messages()).toHaveLength(13);
});

test('events reach every client; one that reads nothing is let go', async () => {
  const own = await open();
  const [reader, sleeper] = [await client(), await client()];
  // Both were accepted by now.
  for (const one of [reader, sleeper]) {
    one.ask(request(1));
    await one.until(1);
  }
  own.tell(EVENT);
  for (const one of [reader, sleeper])
    expect((await one.until(2)).at(-1)).toEqual({ jsonrpc: '2.0', method: 'notify_job', params: [EVENT] });
  sleeper.socket.pause();
  const gone = once(sleeper.socket, 'close');
  const big = { ...EVENT, text: 'x'.repeat(512 * 1024) } as JobEvent;
  for (let n = 0; n < 40; n++) {
    own.tell(big);
    await reader.until(3 + n);
  }
  expect(reader.messages()).toHaveLength(42);
  sleeper.socket.resume();
  await gone;
  expect(sleeper.messages().length).toBeLessThan(42);
});

test('progress wakes a client no more often than through Moonraker, and its last word comes before what follows', async () => {
  const own = await open();
  const { ask, until, messages } = await client();
  ask(request(1));
  await until(1);
  const progress = (doneBytes: number) =>
    own.tell({ ...EVENT, kind: 'progress', phase: 'write', doneBytes, totalBytes: 99 });
  for (let n = 1; n <= 50; n++) progress(n);
  await until(2);
  own.tell(EVENT);
  const told = (await until(4)).slice(1).map(({ params }) => params[0].doneBytes ?? params[0].kind);
  expect(told).toEqual([1, 50, 'note']);
  await sleep(300);
  expect(messages()).toHaveLength(4);
});

test('closing: the last words arrive, the file goes, and a client that stays open holds nothing up', async () => {
  const own = await open();
  const polite = await client();
  const other = connect({ path, allowHalfOpen: true });
  sockets.push(other);
  await once(other, 'connect');
  polite.ask(request(1));
  await polite.until(1);
  const ended = once(polite.socket, 'end');
  own.tell(EVENT);
  const before = performance.now();
  await own.close();
  expect(performance.now() - before).toBeLessThan(10_000);
  local = undefined;
  await ended;
  expect(polite.messages().at(-1)).toMatchObject({ method: 'notify_job' });
  expect(existsSync(path)).toBe(false);
});
