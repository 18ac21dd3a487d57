// Daemon, the other end of its socket: what the command line talks through.
import { connect, type Socket } from 'node:net';
import { JSONRPCClient, isJSONRPCResponse, type JSONRPCError } from 'json-rpc-2.0';
import type { DaemonLink } from '../cli/world.ts';
import { OctopusError, isErrorCode } from '../errors.ts';
import type { JobEvent } from '../jobs/job.ts';
import { Deframer, frame } from '../moonraker/framing.ts';
import { isObject } from '../moonraker/serving.ts';
import { AS_REMOTE, JOB_NOTIFICATION } from './local-socket.ts';

const ANSWER_LIMIT_BYTES = 16 * 1024 * 1024;

/** Undefined where no daemon listens. Throws `no-daemon` where one does that this user may not talk to. */
export async function attachToDaemon(path: string): Promise<DaemonLink | undefined> {
  const socket = connect({ path });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
  } catch (cause) {
    const code = typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : '';
    if (['ENOENT', 'ECONNREFUSED', 'ENOTDIR', 'EINVAL'].includes(code)) return undefined;
    throw new OctopusError('no-daemon', `the daemon's socket ${path} cannot be opened: ${String(cause)}`, {
      place: path,
      advice: 'Run the command as the user that the daemon runs as.',
      cause,
    });
  }
  return new LocalClient(socket);
}

class LocalClient implements DaemonLink {
  readonly gone: Promise<void>;
  readonly #socket: Socket;
  readonly #rpc: JSONRPCClient;
  readonly #listeners = new Set<(event: JobEvent) => void>();

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#rpc = new JSONRPCClient((payload: unknown) => void socket.write(frame(JSON.stringify(payload))));
    const deframer = new Deframer(ANSWER_LIMIT_BYTES);
    socket.on('data', (chunk: Buffer) => {
      for (const found of deframer.push(chunk)) if (found.kind === 'message') this.#take(found.text);
    });
    socket.on('error', () => socket.destroy());
    const { promise, resolve } = Promise.withResolvers<void>();
    this.gone = promise;
    socket.on('close', () => resolve());
  }

  async call(method: string, params: object): Promise<object> {
    const answered = this.#rpc.requestAdvanced({ jsonrpc: '2.0', id: ++lastId, method, params });
    // What is asked on a connection that has ended is answered by nobody.
    const response = await Promise.race([answered, this.gone]);
    if (response === undefined) {
      throw new OctopusError('no-daemon', 'the daemon closed the connection before it answered', {
        place: method,
        advice: 'See journalctl -u octopus-flasher, then ask again.',
      });
    }
    const { result, error } = response;
    if (error !== undefined) throw fromWire(error);
    if (isObject(result)) return result;
    throw new TypeError(`${method}: the daemon answered no object`);
  }

  callAsRemote(method: string, params: object): Promise<object> {
    return this.call(AS_REMOTE, { method, params });
  }

  onJobEvent(listener: (event: JobEvent) => void): void {
    this.#listeners.add(listener);
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(text: string): void {
    const message: unknown = JSON.parse(text);
    if (isJSONRPCResponse(message)) {
      this.#rpc.receive(message);
      return;
    }
    if (!isObject(message) || message['method'] !== JOB_NOTIFICATION || !Array.isArray(message['params']))
      return;
    // The daemon is this program: it says what JobEvent says.
    const event: JobEvent = message['params'][0];
    for (const listener of this.#listeners) listener(event);
  }
}
let lastId = 0;

function fromWire(error: JSONRPCError): OctopusError {
  const data: unknown = error.data;
  const text = (key: string) => (isObject(data) && typeof data[key] === 'string' ? data[key] : undefined);
  const code = text('code');
  const [place, onBoard] = [text('place'), text('onBoard')];
  return new OctopusError(isErrorCode(code) ? code : 'internal', text('message') ?? error.message, {
    advice: text('advice') ?? 'See journalctl -u octopus-flasher.',
    ...(place === undefined ? {} : { place }),
    ...(onBoard === undefined ? {} : { onBoard }),
  });
}
