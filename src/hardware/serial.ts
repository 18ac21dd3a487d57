// Hardware, port SerialPorts: a tty through its own file, with koffi for the four calls that Node lacks. The package
// serialport would do, but hangs from Node 26.3 on and brings 21 packages.
import { constants, readSync, writeSync } from 'node:fs';
import { open, realpath, type FileHandle } from 'node:fs/promises';
import type { ByteChannel, SerialPorts } from '../ports/bytes.ts';
import { loadLibc, type Libc, type Watch } from './libc.ts';
import { cannotOpen, held, left, noLibc, notTaken } from './serial-errors.ts';
import * as uapi from './serial-uapi.ts';
import { errnoOf, usedAfterClose } from './system-error.ts';

/** Klipper's usual speed. On USB it is a number that nobody looks at, unless it is 1200. */
const BAUD = 250_000;
/** Klipper and others enter their bootloader when DTR falls at this speed. */
const TOUCH_BAUD = 1200;
const WRITE_TIMEOUT_MS = 2_000;
const CHUNK_BYTES = 4096;

export interface SerialRoots {
  readonly proc?: string;
}

export function hardwareSerial({ proc = '/proc' }: SerialRoots = {}): SerialPorts {
  return {
    open: async (path) => {
      const { libc, file } = await take(path, proc, BAUD, false);
      return new Tty(libc, path, file);
    },
    touch1200: async (path) => {
      const { file } = await take(path, proc, TOUCH_BAUD, true);
      // The device may be gone before this returns: that is what was asked for.
      await file.close().catch(() => {});
    },
  };
}

async function take(
  path: string,
  proc: string,
  baud: number,
  dropsDtr: boolean,
): Promise<{ libc: Libc; file: FileHandle }> {
  const node = await realpath(path).catch((error: unknown) => {
    throw cannotOpen(path, error);
  });
  const libc = await loadLibc();
  if (typeof libc === 'string') throw noLibc(path, libc);
  // Without O_NONBLOCK the kernel would wait for a carrier.
  const flags = constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK;
  const file = await open(node, flags).catch(async (error: unknown) => {
    throw errnoOf(error) === 'EBUSY' ? await held(path, node, proc) : cannotOpen(path, error);
  });
  try {
    libc.ioctl(file.fd, uapi.TCGETS2, uapi.newTermios());
    // Klipper's host locks its port in this way; TIOCEXCL keeps out those who do not lock.
    libc.flock(file.fd, uapi.LOCK_EXCLUSIVE_NOW);
    libc.ioctl(file.fd, uapi.TIOCEXCL, 0);
    libc.ioctl(file.fd, uapi.TCSETS2, uapi.encodeTermios(baud, dropsDtr));
    libc.ioctl(file.fd, uapi.TCFLSH, uapi.TCIOFLUSH);
    return { libc, file };
  } catch (error) {
    await file.close().catch(() => {});
    throw errnoOf(error) === 'EAGAIN' ? await held(path, node, proc) : cannotOpen(path, error);
  }
}

class Tty implements ByteChannel {
  readonly #libc: Libc;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #watch: Watch;
  #arrived: Uint8Array[] = [];
  #wakeReader: () => void = () => {};
  #wakeWriter: () => void = () => {};
  #hasLeft = false;
  #isClosed = false;

  constructor(libc: Libc, path: string, file: FileHandle) {
    [this.#libc, this.#path, this.#file] = [libc, path, file];
    this.#watch = libc.watch(file.fd, { readable: true }, () => this.#ready());
  }

  async write(bytes: Uint8Array): Promise<void> {
    const copy = bytes.slice();
    const until = performance.now() + WRITE_TIMEOUT_MS;
    for (let sent = 0; sent < copy.length;) {
      this.#check();
      if (this.#hasLeft) throw left(this.#path);
      const count = this.#try(() => writeSync(this.#file.fd, copy, sent)) ?? 0;
      sent += count;
      if (count === 0 && !this.#hasLeft) await this.#writable(until - performance.now());
    }
  }

  async read(timeoutMs: number): Promise<Uint8Array | undefined> {
    this.#check();
    if (this.#arrived.length === 0 && !this.#hasLeft) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        this.#wakeReader = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wakeReader = () => {};
    }
    if (this.#arrived.length > 0) return Uint8Array.from(Buffer.concat(this.#arrived.splice(0)));
    if (this.#hasLeft) throw left(this.#path);
    return undefined;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch.stop();
    this.#wakeReader();
    this.#wakeWriter();
    // The kernel would keep the file for up to 30 s to send what nobody takes.
    this.#try(() => this.#libc.ioctl(this.#file.fd, uapi.TCFLSH, uapi.TCIOFLUSH));
    await this.#file.close().catch(() => {});
  }

  #ready(): void {
    this.#wakeWriter();
    const buffer = new Uint8Array(CHUNK_BYTES);
    const count = this.#try(() => readSync(this.#file.fd, buffer));
    if (count === 0) this.#leave();
    if (count !== undefined && count > 0) this.#arrived.push(buffer.subarray(0, count));
    if (this.#arrived.length > 0) this.#wakeReader();
  }

  /** What the call answers; undefined where it would have to wait, or found the device gone. */
  #try<T>(call: () => T): T | undefined {
    try {
      return call();
    } catch (error) {
      if (errnoOf(error) !== 'EAGAIN') this.#leave();
      return undefined;
    }
  }

  /** A port whose device has left: EIO, or nothing to read for ever. */
  #leave(): void {
    this.#hasLeft = true;
    this.#watch.stop();
    this.#wakeReader();
    this.#wakeWriter();
  }

  async #writable(timeoutMs: number): Promise<void> {
    if (timeoutMs <= 0) throw notTaken(this.#path, WRITE_TIMEOUT_MS);
    this.#watch.wants({ readable: true, writable: true });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#wakeWriter = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wakeWriter = () => {};
    this.#watch.wants({ readable: true });
  }

  #check(): void {
    if (this.#isClosed) throw usedAfterClose('a serial port');
  }
}
