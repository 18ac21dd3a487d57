// A kernel's usbfs as ioctl sees it: one device, whose URBs end when the test says so. It reads the bytes by the offsets
// of linux/usbdevice_fs.h, with nothing of the product's, and behaves as drivers/usb/core/devio.c does.
import type { Libc, Memory } from '../../src/hardware/libc.ts';

const [EINVAL, EAGAIN, ENODEV] = [22, 11, 19];
const ENOENT = 2;

interface Urb {
  readonly address: bigint;
  readonly setup: readonly number[];
  readonly data: readonly number[];
}

export class FakeUsbfs {
  /** What was asked of the kernel, in order. */
  readonly asked: string[] = [];
  /** Submitted and not ended. */
  readonly pending: Urb[] = [];
  /** Thrown by an ioctl of this name: `CLAIM`, `SETINTERFACE`. */
  readonly faults = new Map<string, string>();
  readonly memories = new Map<bigint, Uint8Array>();
  isConnected = true;
  isWatched = false;
  readonly #wide: boolean;
  readonly #ended: bigint[] = [];
  #ready: () => void = () => {};
  #nextAddress = 0x6000_0000n;

  constructor(pointerBytes: 4 | 8 = 8) {
    this.#wide = pointerBytes === 8;
  }

  get libc(): Libc {
    const never = (): never => {
      throw new Error('not this call');
    };
    return {
      pointerBytes: this.#wide ? 8 : 4,
      allocate: (size) => this.#allocate(size),
      ioctl: (_fd, request, argument) => {
        if (request !== 0x8004550f || typeof argument === 'number') return never();
        return this.#named('CLAIM', Buffer.from(argument).readUInt32LE());
      },
      tryIoctl: (_fd, request, argument) => this.#ioctl(request, argument),
      waitIoctl: async (_fd, request, argument) => {
        if (request !== 0x80085504) never();
        const memory = Buffer.from(this.#at(argument));
        this.#named('SETINTERFACE', `${memory.readUInt32LE(0)} ${memory.readUInt32LE(4)}`);
      },
      forgetPages: never,
      flock: never,
      socket: never,
      bind: never,
      sendto: never,
      setsockopt: never,
      watch: (_fd, interest, onReady) => {
        if (interest.writable !== true) never();
        this.isWatched = true;
        this.#ready = onReady;
        return { wants: never, stop: () => void (this.isWatched = false) };
      },
    };
  }

  /** The first one ends; `tell` is poll. */
  end(status: number, data: readonly number[] = [], tell = true): void {
    const urb = this.pending.shift();
    if (urb === undefined) throw new Error('nothing is pending');
    this.#end(urb, status, data);
    if (tell) this.tell();
  }

  tell(): void {
    if (this.isWatched) this.#ready();
  }

  /** As usbdev_remove does it. */
  disconnect(status = -ENOENT): void {
    this.isConnected = false;
    for (const urb of this.pending.splice(0).toReversed()) this.#end(urb, status, []);
    this.tell();
  }

  #allocate(size: number): Memory {
    const [address, bytes] = [this.#nextAddress, new Uint8Array(size)];
    this.#nextAddress += 0x2000n;
    this.memories.set(address, bytes);
    return { address, bytes, free: () => void this.memories.delete(address) };
  }

  #at(address: bigint): Uint8Array {
    const memory = this.memories.get(address);
    if (memory === undefined) throw new Error(`nothing lies at ${address}`);
    return memory;
  }

  #named(name: string, argument: string | number): void {
    this.asked.push(`${name} ${argument}`);
    const code = this.faults.get(name);
    if (code !== undefined) throw Object.assign(new Error(`${code}: as planned, ioctl`), { code });
  }

  #ioctl(request: number, argument: Uint8Array | bigint): number {
    const [submit, reap] = this.#wide ? [0x8038550a, 0x4008550d] : [0x802c550a, 0x4004550d];
    if (request === reap && typeof argument !== 'bigint') return this.#reap(argument);
    if (!this.isConnected) return ENODEV;
    if (request === 0x80045510) {
      this.asked.push('RELEASE');
      return 0;
    }
    if (typeof argument !== 'bigint') return EINVAL;
    if (request === submit) return this.#submit(argument);
    if (request === 0x550b) return this.#discard(argument);
    return EINVAL;
  }

  #submit(address: bigint): number {
    const memory = Buffer.from(this.#at(address));
    const size = this.#wide ? 56 : 44;
    const buffer = this.#wide ? memory.readBigUInt64LE(16) : BigInt(memory.readUInt32LE(12));
    const length = memory.readInt32LE(this.#wide ? 24 : 16);
    const at = Number(buffer - address);
    if (memory[0] !== 2 || memory[1] !== 0 || at < size || length < 8) return EINVAL;
    const setup = memory.subarray(at, at + 8);
    const wLength = setup.readUInt16LE(6);
    // proc_do_submiturb: the buffer holds both; and it must lie in what was allocated.
    if (length < 8 + wLength || memory.length < at + length) return EINVAL;
    const isIn = ((setup[0] ?? 0) & 0x80) !== 0;
    const data = isIn ? [] : [...memory.subarray(at + 8, at + 8 + wLength)];
    this.pending.push({ address, setup: [...setup], data });
    this.asked.push(`SUBMIT ${setup.toString('hex')}${data.length === 0 ? '' : ` ${data.join(',')}`}`);
    return 0;
  }

  #discard(address: bigint): number {
    const at = this.pending.findIndex((urb) => urb.address === address);
    const [urb] = at < 0 ? [] : this.pending.splice(at, 1);
    if (urb === undefined) return EINVAL;
    this.asked.push(`DISCARD ${urb.setup[1]}`);
    this.#end(urb, -ENOENT, []);
    return 0;
  }

  #end({ address }: Urb, status: number, data: readonly number[]): void {
    const memory = Buffer.from(this.#at(address).buffer);
    const wLength = memory.readUInt16LE((this.#wide ? 56 : 44) + 6);
    memory.writeInt32LE(status, 4);
    memory.writeInt32LE(Math.min(data.length, wLength), this.#wide ? 28 : 20);
    memory.set(data.slice(0, wLength), (this.#wide ? 56 : 44) + 8);
    this.#ended.push(address);
  }

  #reap(answer: Uint8Array): number {
    const address = this.#ended.shift();
    if (address === undefined) return this.isConnected ? EAGAIN : ENODEV;
    const bytes = Buffer.from(answer.buffer);
    if (this.#wide) bytes.writeBigUInt64LE(address);
    else bytes.writeUInt32LE(Number(address));
    return 0;
  }
}
