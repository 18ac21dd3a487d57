// The first two words of a Cortex-M program: where the stack begins and where the code begins.
// ARMv7-M Architecture Reference Manual, B1.5.2 and B1.5.3: bit 0 of a vector is the Thumb bit and is always set.
import { u32 } from './bytes.ts';
import { isFlashAddress, isStackTop, memoryMapAt, type MemoryMap, RP2040 } from './memory-map.ts';

export interface Vectors {
  readonly initialStackPointer: number;
  /** With the Thumb bit, as stored. */
  readonly resetVector: number;
  /** The address of the first instruction. */
  readonly entry: number;
  /** The chips that have flash at that address. */
  readonly map: MemoryMap;
  /** Where in the bytes they stand: behind the second stage that an RP2040 wants at the start of its flash, else at 0. */
  readonly offset: number;
}

/** The vectors, or undefined if no STM32 and no RP2040 could start from these bytes. */
export function readVectors(bytes: Uint8Array): Vectors | undefined {
  if (!beginsWithSecondStage(bytes)) return vectorsAt(bytes, 0);
  const vectors = vectorsAt(bytes, RP2040.bootBytes);
  return vectors?.map === RP2040 ? vectors : undefined;
}

/** Every address that a program with these vectors can be linked at. */
export function linkBases({ map, offset }: Vectors): number[] {
  const fitting = map.linkOffsets.filter((link) => (link === 0 ? map.bootBytes : 0) === offset);
  return fitting.map((link) => map.flashStart + link);
}

function vectorsAt(bytes: Uint8Array, offset: number): Vectors | undefined {
  const initialStackPointer = u32(bytes, offset);
  const resetVector = u32(bytes, offset + 4);
  if (initialStackPointer === undefined || resetVector === undefined || resetVector % 2 === 0)
    return undefined;
  const map = memoryMapAt(resetVector);
  if (map === undefined || !isFlashAddress(map, resetVector) || !isStackTop(map, initialStackPointer))
    return undefined;
  return { initialStackPointer, resetVector, entry: resetVector - 1, map, offset };
}

/**
 * RP2040 datasheet, 2.8.1.3.1: the ROM runs the first 256 bytes of flash only if the last four are the CRC-32 of the rest
 * (polynomial 0x04c11db7, first value all ones, nothing reflected or inverted).
 */
function beginsWithSecondStage(bytes: Uint8Array): boolean {
  const stated = u32(bytes, RP2040.bootBytes - 4);
  if (stated === undefined) return false;
  let crc = 0xffffffff;
  for (const byte of bytes.subarray(0, RP2040.bootBytes - 4)) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  }
  return crc >>> 0 === stated;
}
