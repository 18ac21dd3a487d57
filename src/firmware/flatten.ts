// Pieces of memory from a HEX or ELF file, laid out as the one run of bytes that goes into flash.
import { hex } from '../errors.ts';
import { foreignImage, tooLargeImage } from './complaints.ts';
import { MAX_FLASH, memoryMapAt } from './memory-map.ts';

export interface Piece {
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Where in the file it stands, for messages: `klipper.hex:12`. */
  readonly place: string;
}

/** What erased flash reads as (RM0390, 3.5; RM0468, 4.3.10; RM0444, 3.3.6; RM0091, 3.2.2; W25Q16JV), so a gap costs nothing to write. */
export const ERASED = 0xff;

/** The bytes without the erased flash at their end. */
export function trimmed(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === ERASED) end -= 1;
  return bytes.subarray(0, end);
}

/**
 * Between sections the linker leaves less than their alignment (8 or 16), and objcopy writes zeros there: the same is done
 * here, so that klipper.elf, .hex and .bin of one build are one image with one hash.
 */
const ALIGNMENT = 16;

/** No sensible image leaves more room than the largest sector of an F4 or H7 (128 KiB): that is two files in one. */
export const MAX_GAP = 0x20000;

/** All pieces must lie in flash, close together, and never say two things about one byte. */
export function flatten(pieces: readonly Piece[], name: string): { address: number; bytes: Uint8Array } {
  const sorted = [...pieces].sort((one, other) => one.address - other.address);
  const start = sorted[0]?.address ?? 0;
  const map = memoryMapAt(start);
  let end = start;
  for (const piece of sorted) {
    const pieceEnd = piece.address + piece.bytes.length;
    if (map === undefined || pieceEnd > map.flashStart + MAX_FLASH) {
      throw foreignImage(
        name,
        `data for ${hex(piece.address)}, which is not flash of an STM32 or RP2040`,
        undefined,
        piece.place,
      );
    }
    if (piece.address < end) {
      throw foreignImage(name, `two different data for ${hex(piece.address)}`, undefined, piece.place);
    }
    if (piece.address - end > MAX_GAP) {
      throw foreignImage(
        name,
        `nothing between ${hex(end)} and ${hex(piece.address)}`,
        'This holds two programs. Give each of them as a file of its own.',
        piece.place,
      );
    }
    end = pieceEnd;
  }
  if (end - start > MAX_FLASH) throw tooLargeImage(name, end - start);
  const bytes = new Uint8Array(end - start).fill(ERASED);
  let filled = 0;
  for (const piece of sorted) {
    const at = piece.address - start;
    if (at - filled < ALIGNMENT) bytes.fill(0, filled, at);
    bytes.set(piece.bytes, at);
    filled = at + piece.bytes.length;
  }
  return { address: start, bytes };
}
