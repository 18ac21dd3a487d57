// Moonraker, its WebSocket: for a Moonraker on another host or under another user.
import { WebSocket, type RawData } from 'ws';
import {
  HEAD_BYTES,
  WEBSOCKET_LIMIT_BYTES,
  checkLength,
  type Dialer,
  type Wire,
  type WireListener,
} from './wire.ts';

/**
 * The longest request that Moonraker can pass on to an agent: its HTTP body limit of 50 MiB, and JSON around it.
 * One between our own limit and this is refused by an answer; only more costs the connection.
 */
const RECEIVE_LIMIT_BYTES = 52 * 1024 * 1024;
const UNSENT_LIMIT_BYTES = 2 * WEBSOCKET_LIMIT_BYTES;

export interface WebSocketAddress {
  /** `http://HOST:7125`, `ws://...`, `https://...` or `wss://...`, with Moonraker's route prefix if it has one. */
  readonly url: string;
  readonly apiKey?: string;
}

/** Throws TypeError for what is no URL. */
export function webSocketDialer({ url, apiKey }: WebSocketAddress): Dialer {
  const place = webSocketUrl(url);
  return { place, connect: (listener, signal) => connectWebSocket(place, apiKey, listener, signal) };
}

/** Moonraker serves `[/route_prefix]/websocket` (moonraker/components/websockets.py). */
export function webSocketUrl(url: string): string {
  const parsed = new URL(url);
  const scheme = { 'http:': 'ws:', 'https:': 'wss:', 'ws:': 'ws:', 'wss:': 'wss:' }[parsed.protocol];
  if (scheme === undefined) throw new TypeError(`${url} is not an address of a web socket`);
  const path = parsed.pathname.replace(/\/+$/, '');
  return `${scheme}//${parsed.host}${path.endsWith('/websocket') ? path : `${path}/websocket`}`;
}

function connectWebSocket(
  url: string,
  apiKey: string | undefined,
  listener: WireListener,
  signal: AbortSignal,
): Promise<Wire> {
  const { promise, resolve, reject } = Promise.withResolvers<Wire>();
  const socket = new WebSocket(url, {
    headers: apiKey === undefined ? {} : { 'X-Api-Key': apiKey },
    maxPayload: RECEIVE_LIMIT_BYTES,
    // Compression costs memory and time, and Moonraker offers it to nobody on a local network.
    perMessageDeflate: false,
    skipUTF8Validation: false,
  });
  // Made at once: the first message may come in the same turn as the opening.
  const wire = new WebSocketWire(socket, listener);
  const abort = () => socket.terminate();
  socket.once('error', reject);
  socket.once('open', () => {
    signal.removeEventListener('abort', abort);
    wire.opened();
    resolve(wire);
  });
  socket.once('close', () => {
    signal.removeEventListener('abort', abort);
    reject(new Error('the connection was closed before it was open'));
  });
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  return promise;
}

class WebSocketWire implements Wire {
  readonly #socket: WebSocket;
  readonly #listener: WireListener;
  #open = false;

  constructor(socket: WebSocket, listener: WireListener) {
    this.#socket = socket;
    this.#listener = listener;
    socket.on('message', (data) => this.#receive(data));
    socket.on('error', (error) => this.close(error.message));
    socket.on('close', (code, reason) => this.close(closeReason(code, reason.toString('utf8'))));
  }

  opened(): void {
    this.#open = true;
  }

  send(text: string): void {
    checkLength(Buffer.byteLength(text), WEBSOCKET_LIMIT_BYTES);
    if (!this.#open) return;
    // A failure to send closes the socket, which is heard there.
    this.#socket.send(text, () => {});
    if (this.#socket.bufferedAmount > UNSENT_LIMIT_BYTES) this.close('Moonraker does not read what is sent');
  }

  close(reason: string): void {
    if (!this.#open) return;
    this.#open = false;
    // No closing handshake: whom we leave may be half dead, and the name must be free for the next connection.
    this.#socket.terminate();
    this.#listener.closed(reason);
  }

  #receive(data: RawData): void {
    const bytes = bytesOf(data);
    if (bytes.length <= WEBSOCKET_LIMIT_BYTES) this.#listener.message(bytes.toString('utf8'));
    else this.#listener.tooLong(bytes.subarray(0, HEAD_BYTES).toString('utf8'), bytes.length);
  }
}

/** Without copying: what `ws` hands out is ours. */
function bytesOf(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return data instanceof ArrayBuffer ? Buffer.from(data) : data;
}

function closeReason(code: number, reason: string): string {
  return reason === ''
    ? `Moonraker closed the connection (${code})`
    : `Moonraker closed the connection: ${reason}`;
}
