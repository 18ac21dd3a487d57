// The virtual board's Katapult behind a pseudo-terminal of this machine, for a client in another process: what a flash
// takes is read at the device's side, from the first CONNECT to COMPLETE.
// A pseudo-terminal does not keep apart what its writer wrote apart, as USB does, so the bytes are cut into frames again.
import { closeSync, readSync, writeSync } from 'node:fs';
import { loadLibc, type Watch } from '../../src/hardware/libc.ts';
import type { ByteChannel } from '../../src/ports/bytes.ts';
import { createBench, type VirtualBench } from '../../src/virtual/bench.ts';
import { NO_HOST_TIMES } from '../../src/virtual/serve/serve.ts';
import { TIMES } from '../../src/virtual/times.ts';
import { openMaster } from '../hardware/pty.ts';

/** While nobody has the other end open there is nothing to wait for. */
const OPENED_LOOK_MS = 2;
/** Katapult protocol.md: header 01 88, command, words; CONNECT and COMPLETE. */
const CONNECT = 0x11;
const COMPLETE = 0x15;

export interface KatapultPty {
  readonly path: string;
  readonly bench: VirtualBench;
  /** From the first CONNECT to COMPLETE, ms; rejects when the client ends without it. */
  readonly flashed: Promise<number>;
  close(): Promise<void>;
}

/**
 * A board with an empty application. Its flash takes no time.
 * @param transferMs what the host's USB stack takes until a transfer is on the wire; 0: the wire takes no time either
 */
export async function serveKatapult(board: string, transferMs: number): Promise<KatapultPty> {
  const bench = await createBench({
    board,
    state: 'katapult-empty',
    clock: 'real',
    times: 'zero',
    timesOverride: { ...TIMES.zero, ...NO_HOST_TIMES, transferMs },
  });
  await bench.printer.stopKlipper();
  let device = (await bench.usb.list()).find(({ ttyPath }) => ttyPath !== undefined);
  while (device === undefined) {
    await bench.clock.sleep(1);
    device = (await bench.usb.list()).find(({ ttyPath }) => ttyPath !== undefined);
  }
  const channel = await bench.serial.open(device.ttyPath ?? '');
  const libc = await loadLibc();
  if (typeof libc === 'string') throw new Error(libc);
  const { fd, path } = openMaster(libc);

  const { promise: flashed, resolve, reject } = Promise.withResolvers<number>();
  flashed.catch(() => {});
  let connectedAt: number | undefined;
  let pending: Uint8Array = new Uint8Array(0);
  let isClosed = false;
  const forward = (bytes: Uint8Array): void => {
    pending = pending.length === 0 ? bytes : Uint8Array.from(Buffer.concat([pending, bytes]));
    for (;;) {
      const length = 8 + 4 * (pending[3] ?? 0);
      if (pending.length < 8 || pending.length < length) return;
      const command = pending[2];
      if (command === CONNECT) connectedAt ??= performance.now();
      if (command === COMPLETE) resolve(performance.now() - (connectedAt ?? 0));
      void channel.write(pending.subarray(0, length));
      pending = pending.subarray(length);
    }
  };
  let watch: Watch | undefined;
  const buffer = new Uint8Array(4096);
  const take = (): void => {
    if (isClosed) return;
    try {
      for (;;) forward(buffer.slice(0, readSync(fd, buffer)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') {
        watch ??= libc.watch(fd, { readable: true }, take);
        return;
      }
      // EIO: the client is not there yet, or not any more.
      watch?.stop();
      watch = undefined;
      if (connectedAt !== undefined) reject(new Error('the client ended without COMPLETE'));
      else setTimeout(take, OPENED_LOOK_MS);
    }
  };
  take();
  void back(channel, fd, () => isClosed);
  return {
    path,
    bench,
    flashed,
    close: async () => {
      isClosed = true;
      watch?.stop();
      await channel.close();
      closeSync(fd);
      bench.dispose();
    },
  };
}

/** The device's answers, until it leaves. */
async function back(channel: ByteChannel, fd: number, isClosed: () => boolean): Promise<void> {
  try {
    while (!isClosed()) {
      const bytes = await channel.read(1000);
      if (bytes !== undefined && !isClosed()) writeSync(fd, bytes);
    }
  } catch {
    // It has started its application.
  }
}
