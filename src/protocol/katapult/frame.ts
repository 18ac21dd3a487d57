// Katapult's frames: one whole command out, and its answers picked out of a stream of bytes. Pure.
// Sources: Katapult protocol.md "Frame"; src/command.h and src/command.c (command_respond).
import { crc16 } from '../crc16.ts';

/** protocol.md "Commands"; 0x16 is answered by CAN builds only (src/command.c, command_dispatch). */
export const COMMAND = {
  connect: 0x11,
  sendBlock: 0x12,
  sendEof: 0x13,
  requestBlock: 0x14,
  complete: 0x15,
  getCanbusId: 0x16,
} as const;
export type Command = (typeof COMMAND)[keyof typeof COMMAND];

/** protocol.md "Responses". No Katapult sends 0xf3 (src/command.h does not have it), and the document's CRC for it is wrong. */
const RESPONSES: ReadonlyMap<number, Exclude<Answer['kind'], 'ack'>> = new Map([
  [0xf1, 'nack'],
  [0xf2, 'error'],
  [0xf3, 'busy'],
]);
const RESPONSE_ACK = 0xa0;

/** src/command.h: header, command, word count, payload, CRC, trailer; 128 bytes at most. */
const HEADER = [0x01, 0x88] as const;
const TRAILER = [0x99, 0x03] as const;
const WORD_BYTES = 4;
const MIN_FRAME_BYTES = 8;
export const MAX_FRAME_BYTES = 128;

export type Answer =
  /** `command` is the one that was acknowledged, `body` what follows its word. */
  | { readonly kind: 'ack'; readonly command: number; readonly body: Uint8Array }
  /** The receiver could not make a frame of what came. */
  | { readonly kind: 'nack' }
  /** The frame was whole, and the command was not carried out. */
  | { readonly kind: 'error' }
  | { readonly kind: 'busy' };

/** @param payload a whole number of words. */
export function encodeFrame(command: number, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const frame = new Uint8Array(MIN_FRAME_BYTES + payload.length);
  frame.set([...HEADER, command, payload.length / WORD_BYTES]);
  frame.set(payload, 4);
  const crc = crc16(frame.subarray(2, 4 + payload.length));
  frame.set([crc & 0xff, crc >>> 8, ...TRAILER], 4 + payload.length);
  return frame;
}

export function word(value: number): Uint8Array {
  return Uint8Array.of(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
}

/**
 * Picks whole answers out of what arrives, in any pieces. What is no frame, is damaged, or is cut off is passed over byte
 * by byte, so that a whole frame behind it, or within what a false length claimed, is found.
 */
export class AnswerDecoder {
  #pending = new Uint8Array(0);

  /** The answers that are whole now. */
  push(bytes: Uint8Array): Answer[] {
    const joined = new Uint8Array(this.#pending.length + bytes.length);
    joined.set(this.#pending);
    joined.set(bytes, this.#pending.length);
    this.#pending = joined;
    return this.#take(false);
  }

  /** Nothing more comes: what a false start had swallowed, and an empty decoder. */
  flush(): Answer[] {
    const answers = this.#take(true);
    this.#pending = new Uint8Array(0);
    return answers;
  }

  #take(isAll: boolean): Answer[] {
    const answers: Answer[] = [];
    let at = 0;
    while (at < this.#pending.length) {
      const frame = frameAt(this.#pending.subarray(at));
      if (frame === 'incomplete' && !isAll) break;
      if (typeof frame === 'string') {
        at += 1;
        continue;
      }
      const answer = readAnswer(frame);
      if (answer !== undefined) answers.push(answer);
      at += frame.length;
    }
    this.#pending = this.#pending.slice(at);
    return answers;
  }
}

/** The sound frame that `bytes` begins with. */
function frameAt(bytes: Uint8Array): Uint8Array | 'incomplete' | 'none' {
  if (bytes[0] !== HEADER[0]) return 'none';
  if (bytes.length > 1 && bytes[1] !== HEADER[1]) return 'none';
  const words = bytes[3];
  if (words === undefined) return 'incomplete';
  const length = MIN_FRAME_BYTES + words * WORD_BYTES;
  if (length > MAX_FRAME_BYTES) return 'none';
  if (bytes.length < length) return 'incomplete';
  const [low, high, ...trailer] = bytes.subarray(length - 4, length);
  const isSound =
    trailer[0] === TRAILER[0] &&
    trailer[1] === TRAILER[1] &&
    crc16(bytes.subarray(2, length - 4)) === ((low ?? 0) | ((high ?? 0) << 8));
  return isSound ? bytes.slice(0, length) : 'none';
}

/** Undefined for a frame that is no answer, such as an echo of our own. */
function readAnswer(frame: Uint8Array): Answer | undefined {
  const kind = RESPONSES.get(frame[2] ?? 0);
  if (kind !== undefined) return { kind };
  const payload = frame.subarray(4, frame.length - 4);
  if (frame[2] !== RESPONSE_ACK || payload.length < WORD_BYTES) return undefined;
  return { kind: 'ack', command: readWord(payload, 0), body: payload.slice(WORD_BYTES) };
}

export function readWord(bytes: Uint8Array, at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(at, at + WORD_BYTES);
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}
