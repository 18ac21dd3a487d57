// USB/IP, the side that has the devices: one connection a device, closed when the device leaves the bus.

import type { Duplex } from 'node:stream';
import type { ServedDevice, ServedPort } from './port.ts';
import {
  ERRNO,
  STATUS,
  devlistReply,
  importRefused,
  importReply,
  parseCommand,
  parseOperation,
  submitReply,
  unlinkReply,
  type Exported,
  type Request,
} from './usbip-wire.ts';

/** Serves one connection until it ends. Whatever comes in, nothing is thrown. */
export function serveUsbip(socket: Duplex, ports: readonly ServedPort[]): void {
  const connection = new Connection(socket, ports);
  socket.on('data', (chunk: Buffer) => connection.receive(chunk));
  socket.on('error', () => socket.destroy());
  socket.on('close', () => connection.close());
}

class Connection {
  readonly #socket: Duplex;
  readonly #ports: readonly ServedPort[];
  #pieces: Buffer[] = [];
  #collected = 0;
  /** So many bytes before it is worth a look. */
  #needs = 0;
  #device: ServedDevice | undefined;
  #giveBack: () => void = () => {};
  /** Sequence numbers of transfers under way, and how to call them off. */
  readonly #pending = new Map<number, () => boolean>();

  constructor(socket: Duplex, ports: readonly ServedPort[]) {
    this.#socket = socket;
    this.#ports = ports;
  }

  receive(chunk: Buffer): void {
    this.#pieces.push(chunk);
    this.#collected += chunk.length;
    if (this.#collected < this.#needs) return;
    let bytes = this.#pieces.length === 1 ? chunk : Buffer.concat(this.#pieces);
    for (;;) {
      if (this.#socket.destroyed || this.#socket.writableEnded) return;
      const parsed = this.#device === undefined ? parseOperation(bytes) : parseCommand(bytes);
      if (parsed === 'bad') {
        this.#socket.destroy();
        return;
      }
      if ('needs' in parsed) {
        this.#needs = parsed.needs;
        break;
      }
      bytes = bytes.subarray(parsed.used);
      this.#perform(parsed.request);
    }
    this.#pieces = bytes.length === 0 ? [] : [bytes];
    this.#collected = bytes.length;
  }

  close(): void {
    // A kernel that goes away leaves the chip with what it has begun.
    for (const cancel of this.#pending.values()) cancel();
    this.#pending.clear();
    this.#giveBack();
  }

  #perform(request: Request): void {
    switch (request.kind) {
      case 'devlist':
        this.#socket.end(devlistReply(this.#ports.flatMap((port, index) => exported(port, index))));
        return;
      case 'import':
        this.#import(request.busId);
        return;
      case 'submit':
        this.#submit(request);
        return;
      case 'unlink': {
        const wasPending = this.#pending.get(request.victim)?.() ?? false;
        this.#pending.delete(request.victim);
        this.#socket.write(unlinkReply(request.seqnum, wasPending ? ERRNO.ECONNRESET : 0));
        return;
      }
    }
  }

  #import(busId: string): void {
    const index = this.#ports.findIndex((port) => port.busId === busId);
    const port = this.#ports[index];
    const [one] = port === undefined ? [] : exported(port, index);
    if (port === undefined || one === undefined) {
      this.#socket.end(importRefused(STATUS.noDevice));
      return;
    }
    const release = port.take();
    if (release === undefined) {
      this.#socket.end(importRefused(STATUS.deviceBusy));
      return;
    }
    const forget = port.onChange(() => this.#socket.destroy());
    this.#giveBack = () => {
      forget();
      release();
    };
    this.#device = one.device;
    this.#socket.write(importReply(one));
  }

  #submit({ seqnum, urb, shortIsError }: Request & { kind: 'submit' }): void {
    let isOver = false;
    const cancel = this.#device?.urbs.submit(urb, ({ status, bytes }) => {
      isOver = true;
      this.#pending.delete(seqnum);
      // The connection is about to be closed, which is how a kernel hears of it.
      if (status === 'gone') return;
      const isIn = (urb.address & 0x80) !== 0;
      const length = status === 'stall' ? 0 : isIn ? bytes.length : urb.data.length;
      const isShort = status === 'ok' && shortIsError && length < urb.length;
      const errno = status === 'stall' ? ERRNO.EPIPE : isShort ? ERRNO.EREMOTEIO : 0;
      this.#socket.write(submitReply(seqnum, errno, length, isIn ? bytes : new Uint8Array(0)));
    });
    if (cancel !== undefined && !isOver) this.#pending.set(seqnum, cancel);
  }
}

/** Each port is a bus of its own with a device on it, so that no two share a device number. */
function exported(port: ServedPort, index: number): readonly Exported[] {
  const { busId, device } = port;
  return device === undefined ? [] : [{ busId, busNumber: index + 1, device }];
}
