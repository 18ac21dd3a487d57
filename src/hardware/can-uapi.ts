// Hardware, CAN: the kernel's frames and numbers in bytes. Linux include/uapi/linux/can.h, can/raw.h, can/error.h,
// asm-generic/socket.h; checked by tests/hardware/can-uapi.test.ts against what a C compiler makes of those.
import type { CanFrame, CanTrouble } from '../ports/can.ts';

export const AF_CAN = 29;
/** SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC */
export const SOCK_RAW_NONBLOCK = 3 | 0x800 | 0x8_0000;
export const CAN_RAW = 1;
export const SOL_CAN_RAW = 101;
export const CAN_RAW_FILTER = 1;
export const CAN_RAW_ERR_FILTER = 2;
export const SOL_SOCKET = 1;
export const SO_RCVBUF = 8;
export const SO_RCVBUFFORCE = 33;
/** ARPHRD_CAN of include/uapi/linux/if_arp.h, as /sys/class/net/NAME/type tells it. */
export const ARPHRD_CAN = 280;
/** IFF_UP of include/uapi/linux/if.h, as /sys/class/net/NAME/flags tells it. */
export const IFF_UP = 1;

const FLAG = { extended: 0x8000_0000, remote: 0x4000_0000, error: 0x2000_0000 } as const;
/** Classes in the id of an error frame. */
const ERROR = { controller: 0x004, protocol: 0x008, acknowledge: 0x020, busOff: 0x040, bus: 0x080 } as const;
/** In data[1] of a controller's error frame: warning and passive levels of either counter. */
const CONTROLLER_LEVELS = 0x04 | 0x08 | 0x10 | 0x20;
/** CAN_ERR_PROT_LOC_ACK, in data[3]: the place of the fault is the acknowledge slot. */
const ACKNOWLEDGE_SLOT = 0x19;

export const FRAME_BYTES = 16;
export const MAX_ID = 0x7ff;
export const MAX_DATA_BYTES = 8;

/** struct sockaddr_can */
export function encodeAddress(interfaceIndex: number): Uint8Array {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_CAN, true);
  view.setInt32(4, interfaceIndex, true);
  return bytes;
}

/** struct can_filter: data frames with an id of 11 bits, nothing else. */
export function encodeFilter(): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(4, FLAG.extended + FLAG.remote, true);
  return bytes;
}

/** The error classes that are trouble: CAN_RAW_ERR_FILTER. */
export function encodeErrorFilter(): Uint8Array {
  return encodeInt(ERROR.controller | ERROR.protocol | ERROR.acknowledge | ERROR.busOff | ERROR.bus);
}

export function encodeInt(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return bytes;
}

/** struct can_frame */
export function encodeFrame({ id, data }: CanFrame): Uint8Array {
  const bytes = new Uint8Array(FRAME_BYTES);
  new DataView(bytes.buffer).setUint32(0, id, true);
  bytes[4] = data.length;
  bytes.set(data, 8);
  return bytes;
}

/** What a frame of the socket is to us; undefined for what is neither. */
export function decodeFrame(bytes: Uint8Array): CanFrame | CanTrouble | undefined {
  const id = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
  const data = bytes.slice(8, 8 + Math.min(bytes[4] ?? 0, MAX_DATA_BYTES));
  return decode(id, data);
}

/** @param id with the kernel's flags */
export function decode(id: number, data: Uint8Array): CanFrame | CanTrouble | undefined {
  if ((id & FLAG.error) !== 0) return troubleOf(id, data);
  if ((id & FLAG.extended) !== 0 || (id & FLAG.remote) !== 0) return undefined;
  return { id: id & MAX_ID, data };
}

function troubleOf(id: number, data: Uint8Array): CanTrouble | undefined {
  if ((id & ERROR.busOff) !== 0) return 'bus-off';
  const isAcknowledgeSlot = (id & ERROR.protocol) !== 0 && data[3] === ACKNOWLEDGE_SLOT;
  if ((id & ERROR.acknowledge) !== 0 || isAcknowledgeSlot) return 'no-acknowledge';
  if ((id & (ERROR.protocol | ERROR.bus)) !== 0) return 'disturbed';
  if ((id & ERROR.controller) !== 0 && ((data[1] ?? 0) & CONTROLLER_LEVELS) !== 0) return 'disturbed';
  return undefined;
}
