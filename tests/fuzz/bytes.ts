// Mutations of bytes: real ones, changed the way cables, disks, buggy builds and hostile people change them.
import type { Random } from './random.ts';

/** Where counters turn over and lengths lie; each in one, two or four bytes. */
const EDGES = [
  0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 65, 100, 127, 128, 129, 254, 255, 256, 257, 511, 512, 1023,
  1024, 4095, 4096, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff,
  0x0800_0000, 0x0800_8000, 0x0802_0000, 0x2000_0000, 0x1000_0000,
] as const;
/** A copy of a copy of a copy must not fill the memory. */
const MOST_BYTES = 1 << 20;

export interface MutateOptions {
  /** Whatever may be spliced in. */
  readonly others?: readonly Uint8Array[];
  /** Changes at most. */
  readonly most?: number;
}

/** `bytes` with a few changes; now and then none. */
export function mutateBytes(
  random: Random,
  bytes: Uint8Array,
  { others = [], most = 6 }: MutateOptions = {},
): Uint8Array {
  let now: Uint8Array = bytes.slice();
  if (random.oneIn(16)) return now;
  for (let count = random.few(most); count > 0; count--) now = changed(random, now, others);
  return now;
}

function changed(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  const at = random.below(bytes.length);
  const length = random.oneIn(4) ? random.below(bytes.length - at) : random.below(9);
  switch (random.below(13)) {
    case 0:
    case 1:
      return flipped(random, bytes, 1);
    case 2:
      return flipped(random, bytes, random.between(2, 8));
    case 3:
      if (bytes.length > 0) bytes[at] = random.next();
      return bytes;
    case 4:
    case 5:
      return withNumber(random, bytes, at);
    case 6:
      return bytes.slice(0, at);
    case 7:
      return bytes.slice(at);
    case 8:
      return join(bytes.subarray(0, at), bytes.subarray(at + length));
    case 9:
      return repeated(random, bytes, at, length);
    case 10:
      return join(bytes.subarray(0, at), random.bytes(random.between(1, 16)), bytes.subarray(at));
    case 11: {
      const other = others.length === 0 ? bytes : random.pick(others);
      const from = random.below(other.length);
      const piece = other.subarray(from, from + random.below(other.length - from) + 1);
      return join(bytes.subarray(0, at), piece, bytes.subarray(at + (random.oneIn(2) ? piece.length : 0)));
    }
    default: {
      // Two neighbours change places.
      const middle = bytes.subarray(at, at + length);
      const rest = bytes.subarray(at + length, at + 2 * length);
      return join(bytes.subarray(0, at), rest, middle, bytes.subarray(at + 2 * length));
    }
  }
}

function flipped(random: Random, bytes: Uint8Array, bits: number): Uint8Array {
  if (bytes.length === 0) return bytes;
  for (let n = 0; n < bits; n++) {
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
  }
  return bytes;
}

/** A number from an edge, or near the one that stands there. */
function withNumber(random: Random, bytes: Uint8Array, at: number): Uint8Array {
  const width = random.pick([1, 2, 4]);
  if (at + width > bytes.length) return flipped(random, bytes, 1);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isLittle = !random.oneIn(4);
  const before =
    width === 1
      ? view.getUint8(at)
      : width === 2
        ? view.getUint16(at, isLittle)
        : view.getUint32(at, isLittle);
  const number = random.oneIn(2) ? random.pick(EDGES) : before + random.between(-8, 8);
  if (width === 1) view.setUint8(at, number);
  else if (width === 2) view.setUint16(at, number, isLittle);
  else view.setUint32(at, number, isLittle);
  return bytes;
}

function repeated(random: Random, bytes: Uint8Array, at: number, length: number): Uint8Array {
  const piece = bytes.subarray(at, at + Math.max(1, length));
  const times = random.oneIn(64) ? random.between(100, 2000) : random.between(1, 8);
  if (bytes.length + times * piece.length > MOST_BYTES) return bytes;
  const middle = new Uint8Array(times * piece.length);
  for (let n = 0; n < times; n++) middle.set(piece, n * piece.length);
  return join(bytes.subarray(0, at), middle, bytes.subarray(at));
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

/** The same bytes in pieces, as a stream may bring them; some of them empty. Not more than some thousand. */
export function cut(random: Random, bytes: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  const most = Math.max(random.pick([1, 4, 64, 4096]), bytes.length >> 10);
  for (let at = 0; at < bytes.length;) {
    const length = random.oneIn(32) ? 0 : random.between(1, most);
    pieces.push(bytes.slice(at, at + length));
    at += length;
  }
  return pieces;
}

/** What becomes of a message on its way. */
export type Spoil = 'lost' | 'doubled' | 'cut' | 'flipped' | 'rubbish';

/** @param mostRubbish as many bytes come before it at most */
export function spoiltMessage(
  random: Random,
  bytes: Uint8Array,
  how: Spoil,
  mostRubbish: number,
): Uint8Array[] {
  switch (how) {
    case 'lost':
      return [];
    case 'doubled':
      return [bytes, bytes];
    case 'cut':
      return [bytes.slice(0, random.below(bytes.length))];
    case 'rubbish':
      return [join(random.bytes(random.between(1, mostRubbish)), bytes)];
    case 'flipped': {
      const copy = bytes.slice();
      for (let bits = random.between(1, 3); bits > 0; bits--) {
        const at = random.below(copy.length);
        copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
      }
      return [copy];
    }
  }
}
