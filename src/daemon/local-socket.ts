// Daemon, its own socket: the same methods for this host's user, and the events of every job. JSON-RPC texts that end
// with 0x03, as on Moonraker's socket. Whoever can open the file (mode 0600) is the owner.
import { chmod, mkdir, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { OctopusError, asOctopusError } from '../errors.ts';
import type { JobEvent } from '../jobs/job.ts';
import { Deframer, frame } from '../moonraker/framing.ts';
import { parseJson } from '../moonraker/json.ts';
import { PacedEvents } from '../moonraker/paced-events.ts';
import { Serving, errorAnswer, isObject, type MethodTable, type Params } from '../moonraker/serving.ts';
import type { Clock } from '../ports/clock.ts';
import { later } from '../moonraker/later.ts';
import { servedTo, type Desk } from './desk.ts';

/** No request of ours comes near. */
const REQUEST_LIMIT_BYTES = 1024 * 1024;
/** A client that reads nothing is let go. */
const UNSENT_LIMIT_BYTES = 8 * 1024 * 1024;
/** Linux, unix(7): sun_path holds 108 bytes with the zero at its end. */
const PATH_MAX_BYTES = 107;
/** A client that does not close its end is cut off when the daemon stops. */
const FAREWELL_MS = 500;

/** A request by name that counts as one through Moonraker. */
export const AS_REMOTE = 'octopus.as_remote';
/** What connected clients are told of jobs. */
export const JOB_NOTIFICATION = 'notify_job';

export class LocalSocket {
  readonly #server: Server;
  readonly #path: string;
  readonly #clients = new Set<Socket>();
  readonly #clock: Clock;
  readonly #events: PacedEvents;

  private constructor(path: string, server: Server, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
    this.#server = server;
    this.#events = new PacedEvents(clock, (event) => this.#send(event));
  }

  /** The caller holds the daemon's lock: a socket that lies there is a dead one's. Throws `store-failed`. */
  static async open(path: string, desk: Desk, clock: Clock): Promise<LocalSocket> {
    const server = createServer();
    const local = new LocalSocket(path, server, clock);
    const serving = new Serving(tableOf(desk));
    server.on('connection', (socket) => local.#serve(socket, serving));
    try {
      if (Buffer.byteLength(path) > PATH_MAX_BYTES) throw new Error(`longer than ${PATH_MAX_BYTES} bytes`);
      await mkdir(dirname(path), { recursive: true });
      await rm(path, { force: true });
      await listenPrivately(server, path);
      return local;
    } catch (cause) {
      throw new OctopusError('store-failed', `the socket ${path} cannot be opened: ${String(cause)}`, {
        place: path,
        advice: 'Check that the folder belongs to the user of octopus-flasher, and its length.',
        cause,
      });
    }
  }

  /** To all clients: progress as often as through Moonraker, everything else at once. */
  tell(event: JobEvent): void {
    this.#events.tell(event);
  }

  #send(event: JobEvent): void {
    const bytes = frame(JSON.stringify({ jsonrpc: '2.0', method: JOB_NOTIFICATION, params: [event] }));
    for (const client of this.#clients) send(client, bytes);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // What was said last still reaches them.
    for (const client of this.#clients) client.end();
    const callOff = later(this.#clock, FAREWELL_MS, () => this.#clients.forEach((one) => one.destroy()));
    await closed;
    callOff();
    await rm(this.#path, { force: true });
  }

  #serve(socket: Socket, serving: Serving): void {
    this.#clients.add(socket);
    const deframer = new Deframer(REQUEST_LIMIT_BYTES);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#clients.delete(socket));
    socket.on('data', (chunk: Buffer) => {
      for (const found of deframer.push(chunk)) {
        const answered = found.kind === 'message' ? answer(serving, found.text) : tooLong(found.sizeBytes);
        void Promise.resolve(answered).then((text) => send(socket, frame(text)));
      }
    });
  }
}

function tableOf(desk: Desk): MethodTable {
  const local = { via: 'local', printer: undefined } as const;
  const names = servedTo(local);
  const table = new Map(names.map((name) => [name, (params: Params) => desk.call(name, params, local)]));
  table.set(AS_REMOTE, ({ method, params }) => {
    if (typeof method === 'string' && isObject(params))
      return desk.call(method, params, { via: 'shell', printer: undefined });
    throw new OctopusError('bad-parameter', `${AS_REMOTE} needs a method and its params`, {
      place: 'params',
      advice: 'Give {"method": "octopus.flash", "params": {}}.',
    });
  });
  return table;
}

async function answer(serving: Serving, text: string): Promise<string> {
  const parsed = parseJson(text);
  if (parsed.kind !== 'value') {
    const message = parsed.kind === 'no-json' ? 'no JSON' : 'nested too deep';
    return JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32_700, message } });
  }
  const request = parsed.value;
  const id = isObject(request) ? request['id'] : undefined;
  if (!isObject(request) || typeof request['method'] !== 'string' || !isId(id)) {
    return JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32_600, message: 'no request' } });
  }
  const rpc = { jsonrpc: '2.0', id, method: request['method'], params: request['params'] } as const;
  try {
    return JSON.stringify(await serving.answer(rpc, id));
  } catch (thrown) {
    return JSON.stringify(errorAnswer(id, asOctopusError(thrown)));
  }
}

function isId(id: unknown): id is string | number {
  return typeof id === 'string' || typeof id === 'number';
}

function tooLong(sizeBytes: number): string {
  const message = `a request of ${sizeBytes} bytes is too long`;
  return JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32_600, message } });
}

function send(socket: Socket, bytes: Buffer): void {
  if (!socket.writable) return;
  socket.write(bytes);
  if (socket.writableLength > UNSENT_LIMIT_BYTES) socket.destroy();
}

/** The file is there from the first moment with mode 0600: listen() makes it before it returns. */
async function listenPrivately(server: Server, path: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  const before = process.umask(0o177);
  try {
    server.listen({ path }, () => resolve());
  } finally {
    process.umask(before);
  }
  await promise;
  server.off('error', reject);
  await chmod(path, 0o600);
}
