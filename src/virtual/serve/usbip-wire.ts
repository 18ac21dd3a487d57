// USB/IP, its messages as bytes. Source: linux Documentation/usb/usbip_protocol.rst, version 1.1.1; all big-endian.

import type { SetupPacket } from '../usb-function.ts';
import type { ServedDevice } from './port.ts';
import type { Urb } from './urbs.ts';

export const VERSION = 0x0111;
const OP = { reqDevlist: 0x8005, repDevlist: 0x0005, reqImport: 0x8003, repImport: 0x0003 } as const;
const COMMAND = { submit: 1, unlink: 2, retSubmit: 3, retUnlink: 4 } as const;
/** include/uapi/linux/usbip.h, enum of op_common's status. */
export const STATUS = { ok: 0, deviceBusy: 2, noDevice: 4 } as const;
/** Of Linux, negative in the messages (asm-generic/errno.h). */
export const ERRNO = { EPIPE: 32, ECONNRESET: 104, ENODEV: 19, EREMOTEIO: 121 } as const;
/** USB_SPEED_FULL of linux/usb/ch9.h: all boards here are full speed. */
const SPEED_FULL = 2;

const OP_BYTES = 8;
const BUSID_BYTES = 32;
const PATH_BYTES = 256;
const HEADER_BYTES = 48;
/** A kernel asks for less; more is no kernel. */
const MAX_TRANSFER = 1 << 20;
/** URB_SHORT_NOT_OK of linux/usb.h. */
const SHORT_NOT_OK = 1;

export type Request =
  | { readonly kind: 'devlist' }
  | { readonly kind: 'import'; readonly busId: string }
  | { readonly kind: 'submit'; readonly seqnum: number; readonly urb: Urb; readonly shortIsError: boolean }
  | { readonly kind: 'unlink'; readonly seqnum: number; readonly victim: number };

/** A request, how many bytes more are needed for one, or `bad` when these bytes are none. */
export type Parsed =
  | { readonly request: Request; readonly used: number }
  | { readonly needs: number }
  | 'bad';

/** Before a device is imported. */
export function parseOperation(bytes: Buffer): Parsed {
  if (bytes.length < OP_BYTES) return { needs: OP_BYTES };
  if (bytes.readUInt16BE(0) !== VERSION) return 'bad';
  const code = bytes.readUInt16BE(2);
  if (code === OP.reqDevlist) return { request: { kind: 'devlist' }, used: OP_BYTES };
  if (code !== OP.reqImport) return 'bad';
  const whole = OP_BYTES + BUSID_BYTES;
  if (bytes.length < whole) return { needs: whole };
  const name = bytes.subarray(OP_BYTES, whole);
  const end = name.indexOf(0);
  const busId = name.toString('latin1', 0, end < 0 ? BUSID_BYTES : end);
  return { request: { kind: 'import', busId }, used: whole };
}

/** Behind an import. */
export function parseCommand(bytes: Buffer): Parsed {
  if (bytes.length < HEADER_BYTES) return { needs: HEADER_BYTES };
  const command = bytes.readUInt32BE(0);
  const seqnum = bytes.readUInt32BE(4);
  if (command === COMMAND.unlink) {
    const victim = bytes.readUInt32BE(0x14);
    return { request: { kind: 'unlink', seqnum, victim }, used: HEADER_BYTES };
  }
  const isIn = bytes.readUInt32BE(0x0c) === 1;
  const endpoint = bytes.readUInt32BE(0x10);
  const length = bytes.readUInt32BE(0x18);
  const packets = bytes.readUInt32BE(0x20);
  // Isochronous transfers exist on none of these devices.
  const isIsochronous = packets !== 0 && packets !== 0xffff_ffff;
  if (command !== COMMAND.submit || endpoint > 15 || length > MAX_TRANSFER || isIsochronous) return 'bad';
  const used = HEADER_BYTES + (isIn ? 0 : length);
  if (bytes.length < used) return { needs: used };
  const urb: Urb = {
    address: endpoint | (isIn ? 0x80 : 0),
    data: Uint8Array.from(bytes.subarray(HEADER_BYTES, used)),
    length: isIn ? length : 0,
    ...(endpoint === 0 ? { setup: parseSetup(bytes.subarray(0x28, 0x30)) } : {}),
  };
  const shortIsError = isIn && (bytes.readUInt32BE(0x14) & SHORT_NOT_OK) !== 0;
  return { request: { kind: 'submit', seqnum, urb, shortIsError }, used };
}

/** USB 2.0 table 9-2: little-endian, as on the bus. */
function parseSetup(bytes: Buffer): SetupPacket {
  return {
    bmRequestType: bytes.readUInt8(0),
    bRequest: bytes.readUInt8(1),
    wValue: bytes.readUInt16LE(2),
    wIndex: bytes.readUInt16LE(4),
    wLength: bytes.readUInt16LE(6),
  };
}

export interface Exported {
  readonly busId: string;
  readonly busNumber: number;
  readonly device: ServedDevice;
}

export function devlistReply(exported: readonly Exported[]): Buffer {
  const count = Buffer.alloc(4);
  count.writeUInt32BE(exported.length);
  const devices = exported.flatMap((one) => [
    describe(one),
    ...one.device.interfaces.map(({ kind }) => Buffer.of(...kind, 0)),
  ]);
  return Buffer.concat([operation(OP.repDevlist, STATUS.ok), count, ...devices]);
}

export function importReply(one: Exported): Buffer {
  return Buffer.concat([operation(OP.repImport, STATUS.ok), describe(one)]);
}

export function importRefused(status: number): Buffer {
  return operation(OP.repImport, status);
}

export function submitReply(seqnum: number, errno: number, length: number, data: Uint8Array): Buffer {
  const header = answerTo(COMMAND.retSubmit, seqnum, errno);
  header.writeUInt32BE(length, 0x18);
  header.writeUInt32BE(0xffff_ffff, 0x20);
  return Buffer.concat([header, data]);
}

export function unlinkReply(seqnum: number, errno: number): Buffer {
  return answerTo(COMMAND.retUnlink, seqnum, errno);
}

function answerTo(command: number, seqnum: number, errno: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(command, 0);
  header.writeUInt32BE(seqnum, 4);
  header.writeInt32BE(-errno, 0x14);
  return header;
}

function operation(code: number, status: number): Buffer {
  const bytes = Buffer.alloc(OP_BYTES);
  bytes.writeUInt16BE(VERSION, 0);
  bytes.writeUInt16BE(code, 2);
  bytes.writeUInt32BE(status, 4);
  return bytes;
}

/** The 312 bytes that both replies have. Configuration value 1: all devices here have that one. */
function describe({ busId, busNumber, device }: Exported): Buffer {
  const { descriptor } = device;
  const bytes = Buffer.alloc(PATH_BYTES + BUSID_BYTES + 24);
  bytes.write(`/sys/devices/virtual/octopus/usb${busNumber}/${busId}`, 0, PATH_BYTES - 1, 'latin1');
  bytes.write(busId, PATH_BYTES, BUSID_BYTES - 1, 'latin1');
  const at = PATH_BYTES + BUSID_BYTES;
  bytes.writeUInt32BE(busNumber, at);
  bytes.writeUInt32BE(device.number, at + 4);
  bytes.writeUInt32BE(SPEED_FULL, at + 8);
  // idVendor, idProduct, bcdDevice: little-endian in the descriptor.
  for (const [n, from] of [8, 10, 12].entries())
    bytes.writeUInt16BE((descriptor[from] ?? 0) | ((descriptor[from + 1] ?? 0) << 8), at + 12 + 2 * n);
  bytes.set(descriptor.subarray(4, 7), at + 18);
  bytes.set([1, descriptor[17] ?? 1, device.interfaces.length], at + 21);
  return bytes;
}
