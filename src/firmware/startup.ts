// What the start-up code of Klipper and Katapult says about the program around it.
//
// Both share their start-up (src/generic/armcm_boot.c; Katapult also armcm_canboot.c): a short first stage, then a second
// stage that copies .data from the end of the flash image to RAM. The addresses stand in the code as literals, so the exact
// end of the program can be read from it: a shorter file is cut, and in a chip the program can be told from what lies behind.
// Seen to hold in builds of Klipper v0.9 to v0.13 and Katapult v0.0.1 by gcc 7, 9 and 12 for Cortex-M0, M0+, M3, M4 and M7.
import { u16, u32 } from './bytes.ts';
import { isFlashAddress, memoryMapAt, sameRam } from './memory-map.ts';

/** The second stage is a few hundred bytes with all that the compiler put into it. */
const SECOND_STAGE_BYTES = 2048;

/**
 * The first stage, ResetHandler of Klipper: cpsid i, two loads, mov sp, bx. Registers and literals are the compiler's choice,
 * hence the masks. Thumb encodings: ARMv7-M Architecture Reference Manual, A7.7.
 */
const FIRST_STAGE = [
  { mask: 0xffff, code: 0xb672 }, // cpsid i
  { mask: 0xf800, code: 0x4800 }, // ldr rX, [pc, #n]
  { mask: 0xf800, code: 0x4800 }, // ldr rY, [pc, #n]
  { mask: 0xff87, code: 0x4685 }, // mov sp, rX
  { mask: 0xff87, code: 0x4700 }, // bx rY
] as const;

export function isKlipperFirstStage(bytes: Uint8Array, offset: number): boolean {
  return (
    offset >= 0 &&
    FIRST_STAGE.every(({ mask, code }, index) => ((u16(bytes, offset + 2 * index) ?? 0) & mask) === code)
  );
}

/** The offset of the second stage. The first one loads two values: the stack pointer of the vector table, and this. */
export function klipperSecondStage(
  bytes: Uint8Array,
  base: number,
  entryOffset: number,
  stackPointer: number,
): number | undefined {
  if (!isKlipperFirstStage(bytes, entryOffset)) return undefined;
  const { literals } = loadedLiterals(bytes, entryOffset, 2 * FIRST_STAGE.length);
  const target = literals.find((value) => value !== stackPointer);
  if (!literals.includes(stackPointer) || target === undefined) return undefined;
  const isCode = target % 2 === 1 && target > base && isInFlashOf(base, target);
  return isCode ? target - 1 - base : undefined;
}

/** Where the unconditional branch at `offset` goes: Katapult's ResetHandler is nothing else (B, encodings T2 and T4). */
export function branchTarget(bytes: Uint8Array, offset: number): number | undefined {
  const first = u16(bytes, offset);
  const second = u16(bytes, offset + 2);
  if (first === undefined) return undefined;
  if (first >> 11 === 0b11100) return offset + 4 + signed((first & 0x7ff) << 1, 12);
  if (second === undefined || first >> 11 !== 0b11110 || (second & 0xd000) !== 0x9000) return undefined;
  const sign = (first >> 10) & 1;
  const i1 = 1 ^ ((second >> 13) & 1) ^ sign;
  const i2 = 1 ^ ((second >> 11) & 1) ^ sign;
  const distance = (sign << 24) | (i1 << 23) | (i2 << 22) | ((first & 0x3ff) << 12) | ((second & 0x7ff) << 1);
  return offset + 4 + signed(distance, 25);
}

/** What the second stage copies from the end of the image to RAM: variables, and on an RP2040 nearly all code and constants. */
export interface DataCopy {
  /** Where it begins in the file. */
  readonly offset: number;
  readonly sizeBytes: number;
  readonly ramStart: number;
}

/**
 * The second stage loads the two ends of .data in RAM and then its copy in flash, which is the last thing in the image;
 * undefined where no such three literals follow each other.
 */
export function dataCopy(bytes: Uint8Array, base: number, secondStage: number): DataCopy | undefined {
  const map = memoryMapAt(base);
  const { literals } = loadedLiterals(bytes, secondStage, SECOND_STAGE_BYTES);
  for (const [index, copy] of literals.entries()) {
    const [one, other] = [literals[index - 2], literals[index - 1]];
    if (map === undefined || one === undefined || other === undefined || !sameRam(map, one, other)) continue;
    if (copy % 4 === 0 && copy > base + secondStage && isFlashAddress(map, copy))
      return { offset: copy - base, sizeBytes: Math.abs(one - other), ramStart: Math.min(one, other) };
  }
  return undefined;
}

/** Where the byte at `offset` in the file lies while the program runs. */
export function runtimeAddress(base: number, offset: number, copy: DataCopy | undefined): number {
  if (copy === undefined || offset < copy.offset || offset >= copy.offset + copy.sizeBytes)
    return base + offset;
  return copy.ramStart + offset - copy.offset;
}

/** The program's length in flash, as traits. A second stage beyond the bytes, or one that loads from beyond them, shows the program cut. */
export function extent(
  bytes: Uint8Array,
  base: number,
  secondStage: number | undefined,
): { programBytes: number | null; isCut: boolean } {
  if (secondStage === undefined) return { programBytes: null, isCut: false };
  const copy = dataCopy(bytes, base, secondStage);
  if (copy !== undefined) {
    const length = copy.offset + copy.sizeBytes;
    return { programBytes: length, isCut: length > bytes.length };
  }
  const { isCut } = loadedLiterals(bytes, secondStage, SECOND_STAGE_BYTES);
  return { programBytes: null, isCut: isCut || secondStage >= bytes.length };
}

/**
 * The values that the code from `start` on loads from its literal pool (LDR literal, encodings T1 and T2), in order.
 * The pool stands behind the code that uses it, so the walk ends where the first literal stands.
 */
export function loadedLiterals(
  bytes: Uint8Array,
  start: number,
  limit: number,
): { literals: number[]; isCut: boolean } {
  const literals: number[] = [];
  let isCut = false;
  let end = Math.min(bytes.length, start + limit);
  for (let at = start; at < end;) {
    const first = u16(bytes, at) ?? 0;
    const isWide = first >> 11 >= 0b11101;
    const literal = literalOffset(first, isWide ? u16(bytes, at + 2) : undefined, at);
    if (literal !== undefined) {
      const value = u32(bytes, literal);
      if (value === undefined) isCut = true;
      else literals.push(value);
      end = Math.min(end, literal);
    }
    at += isWide ? 4 : 2;
  }
  return { literals, isCut };
}

/** The program counter reads as the instruction's address plus four, rounded down to a word. */
function literalOffset(first: number, second: number | undefined, at: number): number | undefined {
  const here = (at + 4) & ~3;
  if (first >> 11 === 0b01001) return here + (first & 0xff) * 4;
  if (first === 0xf8df && second !== undefined) return here + (second & 0xfff);
  return undefined;
}

function signed(value: number, bits: number): number {
  return value >= 2 ** (bits - 1) ? value - 2 ** bits : value;
}

function isInFlashOf(base: number, address: number): boolean {
  const map = memoryMapAt(base);
  return map !== undefined && isFlashAddress(map, address);
}
