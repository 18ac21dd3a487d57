// usbredir, its packets as bytes. Source: usbredir's usb-redirection-protocol.txt, version 0.7; all little-endian, packed.

import type { SetupPacket } from '../usb-function.ts';
import type { ServedDevice } from './port.ts';

export const TYPE = {
  hello: 0,
  deviceConnect: 1,
  deviceDisconnect: 2,
  reset: 3,
  interfaceInfo: 4,
  epInfo: 5,
  setConfiguration: 6,
  getConfiguration: 7,
  configurationStatus: 8,
  setAltSetting: 9,
  getAltSetting: 10,
  altSettingStatus: 11,
  startInterruptReceiving: 15,
  stopInterruptReceiving: 16,
  interruptReceivingStatus: 17,
  cancelDataPacket: 21,
  deviceDisconnectAck: 24,
  controlPacket: 100,
  bulkPacket: 101,
  interruptPacket: 103,
} as const;

export const STATUS = { success: 0, cancelled: 1, inval: 2, ioerror: 3, stall: 4 } as const;

/** Bit numbers of the capabilities. */
const CAP = {
  connectDeviceVersion: 1,
  deviceDisconnectAck: 3,
  epInfoMaxPacketSize: 4,
  ids64: 5,
  bulkLength32: 6,
} as const;
const OURS = Object.values(CAP).reduce((bits, bit) => bits | (1 << bit), 0);

/** What both sides can. */
export interface Agreed {
  readonly connectDeviceVersion: boolean;
  readonly deviceDisconnectAck: boolean;
  readonly epInfoMaxPacketSize: boolean;
  readonly ids64: boolean;
  readonly bulkLength32: boolean;
}

export const NOTHING_AGREED: Agreed = agree(0);

export function agree(theirs: number): Agreed {
  const both = (bit: number): boolean => (theirs & OURS & (1 << bit)) !== 0;
  return {
    connectDeviceVersion: both(CAP.connectDeviceVersion),
    deviceDisconnectAck: both(CAP.deviceDisconnectAck),
    epInfoMaxPacketSize: both(CAP.epInfoMaxPacketSize),
    ids64: both(CAP.ids64),
    bulkLength32: both(CAP.bulkLength32),
  };
}

export interface Packet {
  readonly type: number;
  readonly id: bigint;
  readonly body: Buffer;
}

/** A guest asks for less; more is no guest. */
const MAX_BODY = 1 << 20;
const VERSION_BYTES = 64;

/** `hello` comes before anything is agreed, so its header is always the short one. */
export function parsePacket(
  bytes: Buffer,
  { ids64 }: Agreed,
): { readonly packet: Packet; readonly used: number } | { readonly needs: number } | 'bad' {
  const header = ids64 ? 16 : 12;
  if (bytes.length < header) return { needs: header };
  const type = bytes.readUInt32LE(0);
  const length = bytes.readUInt32LE(4);
  if (length > MAX_BODY || type > 1000) return 'bad';
  const used = header + length;
  if (bytes.length < used) return { needs: used };
  const id = ids64 ? bytes.readBigUInt64LE(8) : BigInt(bytes.readUInt32LE(8));
  return { packet: { type, id, body: bytes.subarray(header, used) }, used };
}

export function packet(type: number, id: bigint, body: Uint8Array, { ids64 }: Agreed): Buffer {
  const header = Buffer.alloc(ids64 ? 16 : 12);
  header.writeUInt32LE(type, 0);
  header.writeUInt32LE(body.length, 4);
  if (ids64) header.writeBigUInt64LE(id, 8);
  else header.writeUInt32LE(Number(BigInt.asUintN(32, id)), 8);
  return Buffer.concat([header, body]);
}

export function hello(version: string): Buffer {
  const body = Buffer.alloc(VERSION_BYTES + 4);
  body.write(version, 0, VERSION_BYTES - 1, 'latin1');
  body.writeUInt32LE(OURS, VERSION_BYTES);
  return packet(TYPE.hello, 0n, body, NOTHING_AGREED);
}

/** The guest's capabilities; a hello of version 0.3 has none. */
export function capabilitiesOf(body: Buffer): number {
  return body.length >= VERSION_BYTES + 4 ? body.readUInt32LE(VERSION_BYTES) : 0;
}

/** Endpoint numbers 0 to 15 OUT, then 0 to 15 IN. */
const indexOf = (address: number): number => (address & 0x0f) | ((address & 0x80) >> 3);
const SLOTS = 32;
const NO_ENDPOINT = 255;

export function interfaceInfo({ interfaces }: ServedDevice): Buffer {
  const body = Buffer.alloc(4 + 4 * SLOTS);
  body.writeUInt32LE(interfaces.length, 0);
  for (const [at, { number, kind }] of interfaces.entries())
    for (const [row, value] of [number, ...kind].entries()) body[4 + row * SLOTS + at] = value;
  return body;
}

export function epInfo({ descriptor, interfaces }: ServedDevice, { epInfoMaxPacketSize }: Agreed): Buffer {
  const body = Buffer.alloc(epInfoMaxPacketSize ? 5 * SLOTS : 3 * SLOTS);
  body.fill(NO_ENDPOINT, 0, SLOTS);
  const put = (address: number, type: number, interval: number, number: number, size: number): void => {
    const at = indexOf(address);
    body[at] = type;
    body[SLOTS + at] = interval;
    body[2 * SLOTS + at] = number;
    if (epInfoMaxPacketSize) body.writeUInt16LE(size, 3 * SLOTS + 2 * at);
  };
  for (const address of [0x00, 0x80]) put(address, 0, 0, 0, descriptor[7] ?? 64);
  for (const { number, endpoints } of interfaces)
    for (const one of endpoints) put(one.address, one.type, one.interval, number, one.packetBytes);
  return body;
}

/** usb_redir_speed_full. */
const SPEED_FULL = 1;

export function deviceConnect({ descriptor }: ServedDevice, { connectDeviceVersion }: Agreed): Buffer {
  return Buffer.concat([
    Buffer.of(SPEED_FULL),
    // Class, subclass, protocol; vendor and product, little-endian in both places.
    descriptor.subarray(4, 7),
    descriptor.subarray(8, 12),
    ...(connectDeviceVersion ? [descriptor.subarray(12, 14)] : []),
  ]);
}

export interface DataPacket {
  readonly address: number;
  readonly setup?: SetupPacket;
  readonly data: Uint8Array;
  /** Of an IN transfer: the room that the guest has. */
  readonly length: number;
  /** As it came, with the status and length still to be filled in. */
  readonly header: Buffer;
}

/** Control, bulk or interrupt; undefined when the body is too short for its type or is not as long as it says. */
export function parseData({ type, body }: Packet, agreed: Agreed): DataPacket | undefined {
  const size = headerBytes(type, agreed);
  if (size === undefined || body.length < size) return undefined;
  const header = Buffer.from(body.subarray(0, size));
  const address = header.readUInt8(0);
  const data = Uint8Array.from(body.subarray(size));
  const setup = type === TYPE.controlPacket ? setupOf(header) : undefined;
  const length = setup?.wLength ?? bulkLength(header);
  if ((address & 0x80) === 0 ? data.length !== length : data.length !== 0) return undefined;
  return { address, data, length, header, ...(setup === undefined ? {} : { setup }) };
}

/** The same header back, with how it went and how much. */
export function dataReply(
  { header, setup }: DataPacket,
  status: number,
  length: number,
  bytes: Uint8Array,
): Buffer {
  const answer = Buffer.from(header);
  if (setup !== undefined) {
    answer[3] = status;
    answer.writeUInt16LE(length, 8);
  } else {
    answer[1] = status;
    answer.writeUInt16LE(length & 0xffff, 2);
    if (answer.length >= 10) answer.writeUInt16LE(length >>> 16, 8);
  }
  return Buffer.concat([answer, bytes]);
}

/** An interrupt packet that the device sends by itself. */
export function interruptBody(address: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(address, STATUS.success, bytes.length & 0xff, bytes.length >> 8), bytes]);
}

function headerBytes(type: number, { bulkLength32 }: Agreed): number | undefined {
  if (type === TYPE.controlPacket) return 10;
  if (type === TYPE.bulkPacket) return bulkLength32 ? 10 : 8;
  return type === TYPE.interruptPacket ? 4 : undefined;
}

/** endpoint, request, requesttype, status, value, index, length. */
function setupOf(header: Buffer): SetupPacket {
  return {
    bRequest: header.readUInt8(1),
    bmRequestType: header.readUInt8(2),
    wValue: header.readUInt16LE(4),
    wIndex: header.readUInt16LE(6),
    wLength: header.readUInt16LE(8),
  };
}

function bulkLength(header: Buffer): number {
  const high = header.length >= 10 ? header.readUInt16LE(8) : 0;
  return header.readUInt16LE(2) + high * 0x1_0000;
}
