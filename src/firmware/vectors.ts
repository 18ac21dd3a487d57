// The first two words of a Cortex-M program: where the stack begins and where the code begins.
// ARMv7-M Architecture Reference Manual, B1.5.2 and B1.5.3: bit 0 of a vector is the Thumb bit and is always set.
import { u32 } from './bytes.ts';
import { isFlashAddress, isStackTop } from './memory-map.ts';

export interface Vectors {
  readonly initialStackPointer: number;
  /** With the Thumb bit, as stored. */
  readonly resetVector: number;
  /** The address of the first instruction. */
  readonly entry: number;
}

/** The vectors, or undefined if no STM32 could start from these bytes. */
export function readVectors(bytes: Uint8Array): Vectors | undefined {
  const initialStackPointer = u32(bytes, 0);
  const resetVector = u32(bytes, 4);
  if (initialStackPointer === undefined || resetVector === undefined) return undefined;
  if (!isStackTop(initialStackPointer) || !isFlashAddress(resetVector) || resetVector % 2 === 0)
    return undefined;
  return { initialStackPointer, resetVector, entry: resetVector - 1 };
}
