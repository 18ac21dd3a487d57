// Hardware, port UsbDfuDevice: control transfers straight on the kernel's usbfs. URBs are queued in the kernel, so the wire
// never waits for this process, and no thread stands between. Linux drivers/usb/core/devio.c: data are copied in when an
// URB is submitted and out when it is reaped; poll says "writable" when one can be reaped.
import { open, type FileHandle } from 'node:fs/promises';
import type { ControlSetup, UsbDeviceInfo, UsbDfuDevice } from '../ports/usb.ts';
import type { Libc, Memory, Watch } from './libc.ts';
import { errnoOf, systemError, usedAfterClose } from './system-error.ts';
import { DFU_INTERFACE, claimed, gone, refusal, requireNode, type UsbPlaces } from './usb-access.ts';
import * as uapi from './usbfs-uapi.ts';

const { ERRNO } = uapi;
/** For data; DfuSe blocks have 2048 bytes at most. */
const ROOM_BYTES = 4096;
const NO_DATA = new Uint8Array(0);

/** Throws `device-gone`, `no-hardware` with the cure, or `busy` naming the holder. */
export async function openUsbfs(info: UsbDeviceInfo, places: UsbPlaces, libc: Libc): Promise<UsbDfuDevice> {
  const node = await requireNode(info, places);
  const file = await open(node, 'r+').catch(async (error: unknown) => {
    throw await refusal(info, node, error, places);
  });
  const alternate = libc.allocate(uapi.SET_INTERFACE_BYTES);
  try {
    libc.ioctl(file.fd, uapi.CLAIM_INTERFACE, uapi.encodeInterface(DFU_INTERFACE));
    uapi.encodeSetInterface(alternate.bytes, DFU_INTERFACE, 0);
    // The kernel sends a request of its own here and waits for its end, 5 s at most.
    await libc.waitIoctl(file.fd, uapi.SET_INTERFACE, alternate.address);
    return new UsbfsDevice(info, file, places, libc);
  } catch (error) {
    await file.close().catch(() => {});
    throw errnoOf(error) === 'EBUSY'
      ? await claimed(info, node, places)
      : await refusal(info, node, error, places);
  } finally {
    alternate.free();
  }
}

type Answer = Uint8Array | 'stall' | 'timeout';

interface Transfer {
  readonly memory: Memory;
  readonly isIn: boolean;
  readonly timeoutMs: number;
  readonly resolve: (answer: Answer | Promise<Answer>) => void;
  readonly reject: (error: Error) => void;
  isCalledOff: boolean;
}

class UsbfsDevice implements UsbDfuDevice {
  readonly info: UsbDeviceInfo;
  readonly #file: FileHandle;
  readonly #places: UsbPlaces;
  readonly #libc: Libc;
  readonly #format: uapi.UrbFormat;
  readonly #reaped: Uint8Array;
  readonly #watch: Watch;
  /** In the kernel's hands, in their order: the first is on the wire. */
  readonly #underWay: Transfer[] = [];
  readonly #memories: Memory[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(info: UsbDeviceInfo, file: FileHandle, places: UsbPlaces, libc: Libc) {
    [this.info, this.#file, this.#places, this.#libc] = [info, file, places, libc];
    this.#format = new uapi.UrbFormat(libc.pointerBytes);
    this.#reaped = this.#format.newAddress();
    this.#watch = libc.watch(file.fd, { writable: true }, () => this.#reap());
  }

  async controlOut(
    setup: ControlSetup,
    data: Uint8Array,
    timeoutMs: number,
  ): Promise<'ok' | 'stall' | 'timeout'> {
    const answer = await this.#submit(setup, data, false, data.length, timeoutMs);
    return typeof answer === 'string' ? answer : 'ok';
  }

  controlIn(setup: ControlSetup, length: number, timeoutMs: number): Promise<Answer> {
    return this.#submit(setup, NO_DATA, true, length, timeoutMs);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#callOff();
    this.#reap();
    for (const { resolve } of this.#underWay.splice(0)) resolve('timeout');
    clearTimeout(this.#timer);
    this.#watch.stop();
    // Of a device that is gone neither is left to give back.
    this.#libc.tryIoctl(this.#file.fd, uapi.RELEASE_INTERFACE, uapi.encodeInterface(DFU_INTERFACE));
    await this.#file.close().catch(() => {});
    for (const memory of this.#memories.splice(0)) memory.free();
  }

  #submit(
    setup: ControlSetup,
    data: Uint8Array,
    isIn: boolean,
    length: number,
    timeoutMs: number,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw usedAfterClose('a USB device');
      const memory = this.#take(this.#format.dataAt + length);
      const { request, value, index } = setup;
      const requestType = requestTypeOf(setup, isIn);
      this.#format.encode(memory.bytes, memory.address, { requestType, request, value, index, length });
      memory.bytes.set(data, this.#format.dataAt);
      const errno = this.#libc.tryIoctl(this.#file.fd, this.#format.submit, memory.address);
      if (errno !== 0) {
        this.#memories.push(memory);
        throw this.#gone(errno);
      }
      const transfer = { memory, isIn, timeoutMs, resolve, reject, isCalledOff: false };
      if (this.#underWay.push(transfer) === 1) this.#startTimer();
    });
  }

  /** Memory that is not under way; it is freed when the device is closed. */
  #take(sizeBytes: number): Memory {
    const at = this.#memories.findIndex(({ bytes }) => bytes.length >= sizeBytes);
    const [found] = at < 0 ? [] : this.#memories.splice(at, 1);
    return found ?? this.#libc.allocate(Math.max(sizeBytes, this.#format.dataAt + ROOM_BYTES));
  }

  /** What the kernel has done with. It is told that there is something, and asked until there is nothing more. */
  #reap(): void {
    do {
      const errno = this.#libc.tryIoctl(this.#file.fd, this.#format.reap, this.#reaped);
      if (errno === ERRNO.EAGAIN) return;
      if (errno !== 0) {
        this.#lose(errno);
        return;
      }
      const address = this.#format.addressIn(this.#reaped);
      const at = this.#underWay.findIndex(({ memory }) => memory.address === address);
      const [transfer] = at < 0 ? [] : this.#underWay.splice(at, 1);
      if (at === 0) this.#startTimer();
      if (transfer !== undefined) this.#finish(transfer);
    } while (this.#underWay.length > 0);
  }

  #finish(transfer: Transfer): void {
    const { memory, isIn, resolve, reject } = transfer;
    const { status, actualLength } = this.#format.decode(memory.bytes);
    const { dataAt } = this.#format;
    const data = isIn && status === 0 ? memory.bytes.slice(dataAt, dataAt + actualLength) : NO_DATA;
    this.#memories.push(memory);
    if (status === 0) resolve(data);
    else if (status === ERRNO.EPIPE) resolve('stall');
    else if (transfer.isCalledOff && (status === ERRNO.ENOENT || status === ERRNO.ECONNRESET))
      resolve('timeout');
    else if (status === ERRNO.ENODEV || status === ERRNO.ESHUTDOWN) reject(this.#gone(status));
    else resolve(this.#judgeFault(status));
  }

  /** A fault on the wire is how the end of a device begins; where it stays, no answer came. */
  async #judgeFault(status: number): Promise<'timeout'> {
    this.#callOff();
    const now = await this.#places.tree.deviceNumber(this.info.busPath);
    if (now !== this.info.deviceNumber) throw this.#gone(status);
    return 'timeout';
  }

  /** Counts from when the first one's turn began. As libusb has it, 0 waits for ever. */
  #startTimer(): void {
    clearTimeout(this.#timer);
    const [first] = this.#underWay;
    if (first === undefined || first.timeoutMs === 0) return;
    this.#timer = setTimeout(() => {
      // This process may have been held up, and the answer be there.
      this.#reap();
      if (this.#underWay[0] !== first) return;
      this.#callOff();
      this.#reap();
    }, first.timeoutMs);
  }

  /** The last one first, so that none begins because the one before it ended. The kernel waits until each has ended. */
  #callOff(): void {
    for (const transfer of this.#underWay.toReversed()) {
      // One that has ended by itself is refused (EINVAL), and reaped as it ended.
      const errno = this.#libc.tryIoctl(this.#file.fd, uapi.DISCARD_URB, transfer.memory.address);
      if (errno === 0) transfer.isCalledOff = true;
    }
  }

  #gone(errno: number): Error {
    return gone(this.info, systemError('usbfs', errno));
  }

  /** ENODEV: the device is gone, and all that it left was reaped. The descriptor would tell of it for ever. */
  #lose(errno: number): void {
    this.#watch.stop();
    clearTimeout(this.#timer);
    for (const { memory, reject } of this.#underWay.splice(0)) {
      this.#memories.push(memory);
      reject(this.#gone(errno));
    }
  }
}

/** USB 2.0, table 9-2: direction, type and recipient. */
function requestTypeOf({ type, recipient }: ControlSetup, isIn: boolean): number {
  return (isIn ? 0x80 : 0) | (type === 'class' ? 0x20 : 0) | (recipient === 'interface' ? 1 : 0);
}
