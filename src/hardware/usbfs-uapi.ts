// Hardware, USB: the kernel's usbfs in bytes. Linux include/uapi/linux/usbdevice_fs.h; checked by
// tests/hardware/usbfs-uapi.test.ts against what a C compiler makes of it, for pointers of 8 and of 4 bytes.

/** _IOR('U', 4, struct usbdevfs_setinterface) */
export const SET_INTERFACE = 0x8008_5504;
/** _IO('U', 11); the argument is the URB's address. */
export const DISCARD_URB = 0x550b;
/** _IOR('U', 15, unsigned int) */
export const CLAIM_INTERFACE = 0x8004_550f;
/** _IOR('U', 16, unsigned int) */
export const RELEASE_INTERFACE = 0x8004_5510;

/** Kernel's numbers of include/uapi/asm-generic/errno-base.h and errno.h. */
export const ERRNO = {
  ENOENT: 2,
  EAGAIN: 11,
  ENODEV: 19,
  EPIPE: 32,
  ECONNRESET: 104,
  ESHUTDOWN: 108,
} as const;

/** USBDEVFS_URB_TYPE_CONTROL */
const TYPE_CONTROL = 2;
/** Of a SETUP packet; the data of a control transfer lie behind it (USB 2.0, 9.3). */
export const SETUP_BYTES = 8;

export interface Setup {
  /** bmRequestType */
  readonly requestType: number;
  readonly request: number;
  readonly value: number;
  readonly index: number;
  /** wLength */
  readonly length: number;
}

/** struct usbdevfs_urb and the numbers that depend on it, as they are where a pointer has so many bytes. */
export class UrbFormat {
  /** The SETUP packet and its data lie behind the URB, here. */
  readonly setupAt: number;
  readonly dataAt: number;
  readonly submit: number;
  readonly reap: number;
  readonly #isWide: boolean;

  constructor(pointerBytes: number) {
    this.#isWide = pointerBytes === 8;
    // sizeof(struct usbdevfs_urb)
    this.setupAt = this.#isWide ? 56 : 44;
    this.dataAt = this.setupAt + SETUP_BYTES;
    // _IOR('U', 10, struct usbdevfs_urb) and _IOW('U', 13, void *): USBDEVFS_REAPURBNDELAY
    this.submit = this.#isWide ? 0x8038_550a : 0x802c_550a;
    this.reap = this.#isWide ? 0x4008_550d : 0x4004_550d;
  }

  /** A control transfer on endpoint 0, in memory at `address`; data for the device are the caller's to add at `dataAt`. */
  encode(memory: Uint8Array, address: bigint, setup: Setup): void {
    memory.fill(0, 0, this.dataAt);
    const view = viewOf(memory);
    view.setUint8(0, TYPE_CONTROL);
    const buffer = address + BigInt(this.setupAt);
    if (this.#isWide) view.setBigUint64(16, buffer, true);
    else view.setUint32(12, Number(buffer), true);
    view.setInt32(this.#isWide ? 24 : 16, SETUP_BYTES + setup.length, true); // buffer_length
    const at = this.setupAt;
    view.setUint8(at, setup.requestType);
    view.setUint8(at + 1, setup.request);
    view.setUint16(at + 2, setup.value, true);
    view.setUint16(at + 4, setup.index, true);
    view.setUint16(at + 6, setup.length, true);
  }

  /** What the kernel has filled in; the status is 0 or an errno. */
  decode(memory: Uint8Array): { readonly status: number; readonly actualLength: number } {
    const view = viewOf(memory);
    return { status: -view.getInt32(4, true), actualLength: view.getInt32(this.#isWide ? 28 : 20, true) };
  }

  /** Room for the address that REAPURBNDELAY answers with. */
  newAddress(): Uint8Array {
    return new Uint8Array(this.#isWide ? 8 : 4);
  }

  addressIn(bytes: Uint8Array): bigint {
    const view = viewOf(bytes);
    return this.#isWide ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true));
  }
}

/** unsigned int: which interface to claim, or to release. */
export function encodeInterface(number: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, number, true);
  return bytes;
}

/** struct usbdevfs_setinterface, in zeroed memory of 8 bytes. */
export function encodeSetInterface(memory: Uint8Array, interfaceNumber: number, alternate: number): void {
  viewOf(memory).setUint32(0, interfaceNumber, true);
  viewOf(memory).setUint32(4, alternate, true);
}

export const SET_INTERFACE_BYTES = 8;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
