// Asks a running Klipper MCU for its data dictionary (Klipper docs/Protocol.md, "Data Dictionary").
// Pure: yields bytes to write and reads to wait for; ends with the zlib-compressed JSON as the MCU sends it.
import { OctopusError } from '../errors.ts';
import { crc16 } from './crc16.ts';

export type SerialRequest =
  | { readonly kind: 'write'; readonly bytes: Uint8Array }
  | { readonly kind: 'read'; readonly timeoutMs: number };
/** `'ok'` answers a write; bytes or undefined (silence) answer a read. */
export type SerialTalk<R> = Generator<SerialRequest, R, Uint8Array | 'ok' | undefined>;

/** docs/Protocol.md "Message Blocks": length, sequence, content, CRC, sync; at most 64 bytes, sync is 0x7e. */
export const SYNC = 0x7e;
const MIN_BLOCK = 5;
const MAX_BLOCK = 64;
const SEQUENCE_HIGH_BITS = 0x10;
/** "the identify_response response id is 0, the identify command id is 1". */
const ID_IDENTIFY_RESPONSE = 0;
const ID_IDENTIFY = 1;
/** The size Klipper's own host asks for, so that a reply fits one block. */
const CHUNK_BYTES = 40;

const REPLY_TIMEOUT_MS = 250;
/** A board that has just enumerated may drop its first bytes; ten tries are 2.5 s. */
const TRIES = 10;
/**
 * What talks on and on and does not answer is never silent, and must not be listened to for ever. A reply has 64 bytes; a
 * Klipper that was in use sends some measured values before it, and Linux keeps up to 4 KiB of them for whoever opens a tty.
 */
const MAX_CHATTER_BYTES = 4 * 1024;
/** Real dictionaries are 3.8 to 4.1 KB; more than this is not one. */
const MAX_DICTIONARY_BYTES = 64 * 1024;

/** The compressed dictionary. Throws `wrong-device` when nobody answers in Klipper's protocol. */
export function* identify(): SerialTalk<Uint8Array> {
  const port = { sequence: 0, pending: new Uint8Array(0) };
  // A sync byte first: whatever half block an earlier host left behind ends here.
  yield { kind: 'write', bytes: Uint8Array.of(SYNC) };
  const chunks: Uint8Array[] = [];
  let offset = 0;
  while (offset < MAX_DICTIONARY_BYTES) {
    const data = yield* askChunk(port, offset);
    if (data.length === 0) return concat(chunks);
    chunks.push(data);
    offset += data.length;
  }
  throw noAnswer('its dictionary has no end');
}

interface Port {
  sequence: number;
  pending: Uint8Array;
}

function* askChunk(port: Port, offset: number): SerialTalk<Uint8Array> {
  const content = Uint8Array.from([
    ...encodeVlq(ID_IDENTIFY),
    ...encodeVlq(offset),
    ...encodeVlq(CHUNK_BYTES),
  ]);
  for (let attempt = 0; attempt < TRIES; attempt++) {
    yield { kind: 'write', bytes: encodeBlock(port.sequence, content) };
    for (let heardBytes = 0; heardBytes <= MAX_CHATTER_BYTES;) {
      const block = nextBlock(port);
      if (block === undefined) {
        const bytes = yield { kind: 'read', timeoutMs: REPLY_TIMEOUT_MS };
        if (!(bytes instanceof Uint8Array)) break;
        port.pending = concat([port.pending, bytes]);
        heardBytes += bytes.length;
        continue;
      }
      // Every block carries the sequence number the MCU wants next: an old one is its way of saying "again".
      port.sequence = block.sequence;
      const reply = parseIdentifyResponse(block.content);
      if (reply !== undefined && reply.offset === offset) return reply.data;
    }
  }
  throw noAnswer('no identify_response');
}

export function encodeBlock(sequence: number, content: Uint8Array): Uint8Array {
  const block = new Uint8Array(content.length + MIN_BLOCK);
  block[0] = block.length;
  block[1] = SEQUENCE_HIGH_BITS | (sequence & 0x0f);
  block.set(content, 2);
  const crc = crc16(block.subarray(0, content.length + 2));
  block.set([crc >>> 8, crc & 0xff, SYNC], content.length + 2);
  return block;
}

/** Takes the next sound block out of `port.pending`; rubbish before it is thrown away. */
function nextBlock(port: Port): { sequence: number; content: Uint8Array } | undefined {
  for (;;) {
    const length = port.pending[0];
    if (length === undefined) return undefined;
    if (length < MIN_BLOCK || length > MAX_BLOCK) {
      port.pending = port.pending.subarray(1);
      continue;
    }
    if (port.pending.length < length) return undefined;
    const block = port.pending.subarray(0, length);
    const crc = ((block[length - 3] ?? 0) << 8) | (block[length - 2] ?? 0);
    if (
      ((block[1] ?? 0) & 0xf0) !== SEQUENCE_HIGH_BITS ||
      block[length - 1] !== SYNC ||
      crc16(block.subarray(0, length - 3)) !== crc
    ) {
      port.pending = port.pending.subarray(1);
      continue;
    }
    port.pending = port.pending.subarray(length);
    return { sequence: (block[1] ?? 0) & 0x0f, content: block.slice(2, length - 3) };
  }
}

/** `identify_response offset=%u data=%.*s` */
function parseIdentifyResponse(content: Uint8Array): { offset: number; data: Uint8Array } | undefined {
  const id = decodeVlq(content, 0);
  if (id === undefined || id.value !== ID_IDENTIFY_RESPONSE) return undefined;
  const offset = decodeVlq(content, id.next);
  const length = offset === undefined ? undefined : decodeVlq(content, offset.next);
  if (offset === undefined || length === undefined) return undefined;
  if (length.value < 0 || length.next + length.value > content.length) return undefined;
  return { offset: offset.value, data: content.subarray(length.next, length.next + length.value) };
}

/** docs/Protocol.md "Variable Length Quantities": seven bits a byte, high first; one byte holds -32..95. */
export function encodeVlq(value: number): number[] {
  const bytes = [value & 0x7f];
  for (let rest = value, shift = 0; rest >= 96 || rest < -32;) {
    shift += 7;
    rest = Math.floor(value / 2 ** shift);
    bytes.unshift((rest & 0x7f) | 0x80);
  }
  return bytes;
}

export function decodeVlq(bytes: Uint8Array, at: number): { value: number; next: number } | undefined {
  let byte = bytes[at];
  if (byte === undefined) return undefined;
  let value = byte & 0x7f;
  if ((byte & 0x60) === 0x60) value -= 0x80;
  let next = at + 1;
  while ((byte & 0x80) !== 0) {
    byte = bytes[next++];
    if (byte === undefined || next - at > 5) return undefined;
    value = value * 128 + (byte & 0x7f);
  }
  return { value, next };
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function noAnswer(what: string): OctopusError {
  return new OctopusError('wrong-device', `the serial device does not answer as Klipper: ${what}`, {
    advice: 'Another program may be talking to it, or it runs other firmware; see octopus status.',
  });
}
