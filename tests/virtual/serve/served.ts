// A bench that is served, and the far end of a connection to it: for the tests of both protocols.
import { once } from 'node:events';
import { duplexPair, type Duplex } from 'node:stream';
import { createBench, type BenchOptions, type VirtualBench } from '../../../src/virtual/bench.ts';
import { boardPort, type ServedPort } from '../../../src/virtual/serve/port.ts';
import { NO_HOST_TIMES } from '../../../src/virtual/serve/serve.ts';

export interface Served {
  readonly bench: VirtualBench;
  readonly port: ServedPort;
}

/** In virtual time, with a host that takes none. */
export async function served(options: BenchOptions = {}): Promise<Served> {
  const bench = await createBench({ timesOverride: NO_HOST_TIMES, ...options });
  const { port } = await boardPort(bench.usb, bench.board.data.busPath, (fn) =>
    fn.joinCan?.((events) => bench.can.startBridge(events)),
  );
  return { bench, port };
}

/** The far end: reads in pieces of the size that is wanted. */
export class FarEnd {
  readonly stream: Duplex;
  readonly #near: Duplex;
  #bytes = Buffer.alloc(0);
  isClosed = false;

  constructor(serve: (near: Duplex) => void) {
    const [near, far] = duplexPair();
    this.stream = far;
    this.#near = near;
    far.on('data', (chunk: Buffer) => (this.#bytes = Buffer.concat([this.#bytes, chunk])));
    near.on('close', () => (this.isClosed = true));
    far.on('error', () => {});
    serve(near);
  }

  write(bytes: Uint8Array): void {
    this.stream.write(bytes);
  }

  /** As a lost connection: a pair of streams does not tell its other half by itself. */
  async hangUp(): Promise<void> {
    this.stream.destroy();
    this.#near.destroy();
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Waits until `length` bytes have come. */
  async read(length: number): Promise<Buffer> {
    while (this.#bytes.length < length) await once(this.stream, 'data');
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }

  /** What has come after a few turns of the event loop, without waiting for any. */
  async rest(): Promise<Buffer> {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    return this.read(this.#bytes.length);
  }
}

export const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
