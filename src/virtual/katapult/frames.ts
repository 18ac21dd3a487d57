// Virtual bench, Katapult: its frames and the receiver that finds them, wedge included (Katapult 902f335, src/command.c).

/** 1.1 names its version in CONNECT's answer (since 4a1532e, 2024-08-06), 1.0 does not. */
export type KatapultProtocol = '1.0' | '1.1';

/** PROTO_VERSION of src/command.h. */
export const PROTOCOL_WORD: Readonly<Record<KatapultProtocol, number>> = {
  '1.0': 0x0001_0000,
  '1.1': 0x0001_0100,
};

/** src/command.h: `01 88 | cmd | words | payload | crc16 | 99 03`. */
const STX = [0x01, 0x88] as const;
const TRAILER = [0x99, 0x03] as const;
const HEADER_BYTES = 4;
const TRAILER_BYTES = 4;
const FRAME_MIN = 8;
const FRAME_MAX = 128;

export const COMMAND = {
  connect: 0x11,
  sendBlock: 0x12,
  sendEof: 0x13,
  requestBlock: 0x14,
  complete: 0x15,
  getCanbusId: 0x16,
} as const;

export const RESPONSE = { ack: 0xa0, nack: 0xf1, error: 0xf2 } as const;

/** The "ccitt" CRC as src/generic/crc16_ccitt.c has it: 0xffff at first, low bit first. */
function crc16(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    let data = byte ^ (crc & 0xff);
    data ^= (data << 4) & 0xff;
    crc = (((data << 8) | (crc >> 8)) ^ (data >> 4) ^ (data << 3)) & 0xffff;
  }
  return crc;
}

/** @param words the payload, little-endian on the wire */
export function encodeFrame(command: number, words: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + 4 * words.length + TRAILER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set([...STX, command, words.length]);
  for (const [index, word] of words.entries()) view.setUint32(HEADER_BYTES + 4 * index, word, true);
  const end = bytes.length - TRAILER_BYTES;
  view.setUint16(end, crc16(bytes.subarray(STX.length, end)), true);
  bytes.set(TRAILER, end + 2);
  return bytes;
}

/**
 * command_find_block: 1 and a frame's length, 0 where more bytes are needed, -1 and what is to be thrown away. `nack`
 * only with the first -1 since the last whole frame.
 */
export interface Found {
  readonly ret: -1 | 0 | 1;
  readonly took: number;
  readonly nack: boolean;
}

const NEED_MORE: Found = { ret: 0, took: 0, nack: false };

export class FrameReceiver {
  #needSync = false;
  #needValid = false;
  #isWedged = false;

  /** It refuses the same byte for ever: no byte that may still come changes that. */
  get isWedged(): boolean {
    return this.#isWedged;
  }

  /** @param buffer all that waits, from the oldest byte on */
  find(buffer: Uint8Array): Found {
    if (buffer.length > 0 && this.#needSync) return this.#discard(buffer);
    if (buffer.length < FRAME_MIN) return NEED_MORE;
    const [stx1, stx2, , words = 0] = buffer;
    if (stx1 !== STX[0] || stx2 !== STX[1]) return this.#refuse(buffer);
    const length = HEADER_BYTES + 4 * words + TRAILER_BYTES;
    if (length > FRAME_MAX) return this.#refuse(buffer);
    if (buffer.length < length) return NEED_MORE;
    if (buffer[length - 2] !== TRAILER[0] || buffer[length - 1] !== TRAILER[1]) return this.#refuse(buffer);
    const end = length - TRAILER_BYTES;
    const crc = (buffer[end] ?? 0) | ((buffer[end + 1] ?? 0) << 8);
    if (crc !== crc16(buffer.subarray(STX.length, end))) return this.#refuse(buffer);
    this.#needValid = false;
    return { ret: 1, took: length, nack: false };
  }

  /**
   * The wedge: the search for the next STX begins at the byte that has just been refused. Where that is an STX nothing
   * is thrown away, and the same frame is refused for ever, without a word after the first NACK.
   */
  #refuse(buffer: Uint8Array): Found {
    this.#isWedged = buffer[0] === STX[0];
    return this.#discard(buffer);
  }

  #discard(buffer: Uint8Array): Found {
    const next = buffer.indexOf(STX[0]);
    this.#needSync = next < 0;
    const nack = !this.#needValid;
    this.#needValid = true;
    return { ret: -1, took: next < 0 ? buffer.length : next, nack };
  }
}
