// Intel HEX. Record layout and types: Intel, "Hexadecimal Object File Format Specification", rev. A, 1988.
// An own reader, because a message has to name the line and the cure, and blank lines at the end are common.
import { foreignImage, truncatedImage } from './complaints.ts';
import type { Piece } from './flatten.ts';
import { latin1 } from './bytes.ts';

const DATA = 0;
const END_OF_FILE = 1;
const EXTENDED_SEGMENT = 2;
const START_SEGMENT = 3;
const EXTENDED_LINEAR = 4;
const START_LINEAR = 5;

/** Length, address (2), type, checksum: what every record has around its data. */
const OVERHEAD = 5;

/** A colon and 255 data bytes: no record is longer. */
const MAX_LINE = 1 + 2 * (255 + OVERHEAD);

/** The data length that each type must have; data records carry any. */
const LENGTH_OF: Partial<Record<number, number>> = {
  [END_OF_FILE]: 0,
  [EXTENDED_SEGMENT]: 2,
  [START_SEGMENT]: 4,
  [EXTENDED_LINEAR]: 2,
  [START_LINEAR]: 4,
};

interface HexRecord {
  readonly type: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

export function looksLikeIntelHex(file: Uint8Array): boolean {
  return /^\s*:[0-9a-fA-F]{2}/.test(latin1(file.subarray(0, 64)));
}

/** The data of the file, neighbours joined, in the order of the file. */
export function readIntelHex(file: Uint8Array, name: string): Piece[] {
  const lines = latin1(file).split(/\r\n|\n|\r/);
  const pieces: Piece[] = [];
  let base = 0;
  let pending: { address: number; parts: Uint8Array[]; length: number; place: string } | undefined;
  const finish = (): void => {
    if (pending === undefined || pending.length === 0) return;
    const bytes = new Uint8Array(pending.length);
    let at = 0;
    for (const part of pending.parts) {
      bytes.set(part, at);
      at += part.length;
    }
    pieces.push({ address: pending.address, bytes, place: pending.place });
  };

  for (const [index, line] of lines.entries()) {
    if (line.trim() === '') continue;
    const place = `${name}:${index + 1}`;
    const isLast = lines.slice(index + 1, index + 4).every((later) => later.trim() === '');
    const { type, offset, data } = readRecord(line.trim(), name, place, isLast);
    if (type === END_OF_FILE) {
      refuseAnythingAfter(lines, index, name);
      finish();
      return pieces;
    }
    if (type === EXTENDED_LINEAR) base = word(data) * 0x10000;
    if (type === EXTENDED_SEGMENT) base = word(data) * 0x10;
    // Start records say where a debugger should begin; the chip itself starts at its reset vector.
    if (type !== DATA) continue;
    const address = base + offset;
    if (pending !== undefined && pending.address + pending.length === address) {
      pending.parts.push(data);
      pending.length += data.length;
    } else {
      finish();
      pending = { address, parts: [data], length: data.length, place };
    }
  }
  throw truncatedImage(name, 'the HEX file has no end record (:00000001FF)', `${name}:${lines.length}`);
}

function readRecord(line: string, name: string, place: string, isLast: boolean): HexRecord {
  // Whatever is wrong with the last line of a file without an end record was most likely cut off.
  const broken = (what: string): Error =>
    isLast
      ? truncatedImage(name, `${what} in its last line`, place)
      : foreignImage(name, what, 'The HEX file is damaged. Build it again, or give the .bin.', place);
  if (line.length > MAX_LINE || !/^:[0-9a-fA-F]*$/.test(line)) throw broken('not a HEX record');
  const digits = line.slice(1);
  if (digits.length % 2 !== 0 || digits.length < 2 * OVERHEAD) throw broken('an incomplete HEX record');
  const bytes = Uint8Array.from({ length: digits.length / 2 }, (_, at) =>
    Number.parseInt(digits.slice(2 * at, 2 * at + 2), 16),
  );
  const [length = 0, high = 0, low = 0, type = 0] = bytes;
  if (bytes.length !== length + OVERHEAD) {
    throw broken(`a HEX record of ${bytes.length - OVERHEAD} data bytes that claims ${length}`);
  }
  if (bytes.reduce((sum, value) => sum + value, 0) % 0x100 !== 0) throw broken('a wrong checksum');
  const expected = LENGTH_OF[type];
  if (type > START_LINEAR) throw broken(`HEX record type ${type}, which does not exist`);
  if (expected !== undefined && expected !== length)
    throw broken(`a HEX record of type ${type} with ${length} bytes`);
  return { type, offset: high * 0x100 + low, data: bytes.subarray(4, 4 + length) };
}

function refuseAnythingAfter(lines: readonly string[], end: number, name: string): void {
  const after = lines.findIndex((line, index) => index > end && line.trim() !== '');
  if (after < 0) return;
  throw foreignImage(
    name,
    'something follows the end record',
    'Two HEX files seem to be joined. Give each of them as a file of its own.',
    `${name}:${after + 1}`,
  );
}

function word(data: Uint8Array): number {
  return (data[0] ?? 0) * 0x100 + (data[1] ?? 0);
}
