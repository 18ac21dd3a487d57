// A kernel's GPIO as ioctl sees it: it reads the bytes by the offsets of linux/gpio.h, with nothing of the product's.
import { openSync } from 'node:fs';
import { join } from 'node:path';
import type { Libc } from '../../src/hardware/libc.ts';
import { fakeTree } from './fake-tree.ts';

export interface FakeLine {
  flags: bigint;
  value: 0 | 1;
  consumer: string | undefined;
}

const [INPUT, OUTPUT] = [4n, 8n];

/** One chip at `dev`/gpiochip0, through a libc that knows nothing else. */
export class FakeGpio {
  readonly dev = fakeTree({ gpiochip0: '' });
  readonly lines: FakeLine[] = Array.from({ length: 58 }, () => ({
    flags: INPUT,
    value: 0,
    consumer: undefined,
  }));
  readonly names = new Map([[26, 'GPIO26']]);
  /** Thrown by the next SET_CONFIG. */
  fault: string | undefined;
  readonly #requests = new Map<number, readonly number[]>();

  readonly libc: Libc = {
    pointerBytes: 8,
    allocate: never,
    tryIoctl: never,
    waitIoctl: never,
    ioctl: (fd, request, argument) => this.#ioctl(fd, request, argument),
    forgetPages: never,
    flock: never,
    socket: never,
    bind: never,
    sendto: never,
    setsockopt: never,
    watch: never,
  };

  drive(line: number): 'high' | 'low' | 'floating' {
    const { flags, value } = this.lines[line] ?? { flags: 0n, value: 0 };
    if ((flags & OUTPUT) === 0n) return 'floating';
    return value === 1 ? 'high' : 'low';
  }

  #ioctl(fd: number, request: number, argument: Uint8Array | number): void {
    if (typeof argument === 'number') throw new TypeError('a struct is expected');
    const bytes = Buffer.from(argument.buffer, argument.byteOffset, argument.byteLength);
    const lines = this.#requests.get(fd) ?? [];
    switch (request) {
      case 0x8044b401:
        bytes.write('gpiochip0\0', 0);
        bytes.write('pinctrl-bcm2711\0', 32);
        bytes.writeUInt32LE(this.lines.length, 64);
        return;
      case 0xc100b405: {
        const offset = bytes.readUInt32LE(64);
        const { flags, consumer } = this.lines[offset] ?? { flags: 0n, consumer: undefined };
        bytes.write(`${this.names.get(offset) ?? ''}\0`, 0);
        bytes.write(`${consumer ?? ''}\0`, 32);
        bytes.writeBigUInt64LE(flags | (consumer === undefined ? 0n : 1n), 72);
        return;
      }
      case 0xc250b407: {
        const offsets = Array.from({ length: bytes.readUInt32LE(560) }, (_, index) =>
          bytes.readUInt32LE(index * 4),
        );
        if (offsets.some((offset) => this.lines[offset]?.consumer !== undefined)) throw errno('EBUSY');
        const consumer = bytes.toString('latin1', 256, 288).replaceAll('\0', '');
        for (const offset of offsets) Object.assign(this.lines[offset] ?? {}, { consumer });
        const own = openSync(join(this.dev, 'gpiochip0'), 'r');
        this.#requests.set(own, offsets);
        this.#configure(offsets, bytes.subarray(288, 560));
        bytes.writeInt32LE(own, 588);
        return;
      }
      case 0xc110b40d: {
        const { fault } = this;
        this.fault = undefined;
        if (fault !== undefined) throw errno(fault);
        this.#configure(lines, bytes);
        return;
      }
      case 0xc010b40e: {
        let values = 0n;
        for (const [index, line] of lines.entries())
          if (this.drive(line) === 'high') values |= 1n << BigInt(index);
        bytes.writeBigUInt64LE(values, 0);
        return;
      }
      default:
        throw errno('EINVAL');
    }
  }

  /** What closing a request's descriptor does in the kernel; here somebody has to say it. */
  release(): void {
    for (const line of this.lines) line.consumer = undefined;
    this.#requests.clear();
  }

  #configure(lines: readonly number[], config: Buffer): void {
    for (let at = 32; at < 32 + config.readUInt32LE(8) * 24; at += 24) {
      const [id, value, mask] = [
        config.readUInt32LE(at),
        config.readBigUInt64LE(at + 8),
        config.readBigUInt64LE(at + 16),
      ];
      for (const [index, offset] of lines.entries()) {
        const line = this.lines[offset];
        const bit = 1n << BigInt(index);
        if (line === undefined || (mask & bit) === 0n) continue;
        if (id === 1) line.flags = value;
        if (id === 2) line.value = (value & bit) === 0n ? 0 : 1;
      }
    }
  }
}

export const errno = (code: string) => Object.assign(new Error(`${code}: made up`), { code });

function never(): never {
  throw new TypeError('no call of GPIO');
}
