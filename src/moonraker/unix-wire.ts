// Moonraker, its Unix socket: the local default. It asks for no login, so the file's owner decides who may connect.
import { connect as connectSocket, type Socket } from 'node:net';
import { Deframer, frame } from './framing.ts';
import { UNIX_LIMIT_BYTES, checkLength, type Dialer, type Wire, type WireListener } from './wire.ts';

/** A Moonraker that reads nothing would make us keep everything: over this the connection is given up. */
const UNSENT_LIMIT_BYTES = 2 * UNIX_LIMIT_BYTES;

/** @param path `<data_path>/comms/moonraker.sock` */
export function unixDialer(path: string): Dialer {
  return { place: path, connect: (listener, signal) => connectUnix(path, listener, signal) };
}

function connectUnix(path: string, listener: WireListener, signal: AbortSignal): Promise<Wire> {
  const { promise, resolve, reject } = Promise.withResolvers<Wire>();
  const socket = connectSocket({ path });
  const abort = () => socket.destroy(new Error('the connection attempt was called off'));
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  socket.once('error', reject);
  socket.once('connect', () => {
    signal.removeEventListener('abort', abort);
    socket.off('error', reject);
    resolve(new UnixWire(socket, listener));
  });
  socket.once('close', () => signal.removeEventListener('abort', abort));
  return promise;
}

class UnixWire implements Wire {
  readonly #socket: Socket;
  readonly #listener: WireListener;
  readonly #deframer = new Deframer(UNIX_LIMIT_BYTES);
  #closed = false;

  constructor(socket: Socket, listener: WireListener) {
    this.#socket = socket;
    this.#listener = listener;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) => this.close(error.message));
    socket.on('end', () => this.close('Moonraker closed the connection'));
    socket.on('close', () => this.close('the connection is closed'));
  }

  send(text: string): void {
    const bytes = frame(text);
    checkLength(bytes.length - 1, UNIX_LIMIT_BYTES);
    if (this.#closed) return;
    this.#socket.write(bytes);
    if (this.#socket.writableLength > UNSENT_LIMIT_BYTES) this.close('Moonraker does not read what is sent');
  }

  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.destroy();
    this.#listener.closed(reason);
  }

  #receive(chunk: Buffer): void {
    for (const found of this.#deframer.push(chunk)) {
      if (this.#closed) return;
      if (found.kind === 'message') this.#listener.message(found.text);
      else this.#listener.tooLong(found.head, found.sizeBytes);
    }
  }
}
