// Whether a program on a chip is whole, by its own bytes: what a write that did not end leaves behind. Pure.
import { hex } from '../errors.ts';
import { ERASED } from './flatten.ts';
import type { Resident } from './passport.ts';
import { readVectors } from './vectors.ts';

/**
 * `whole`: vectors, start-up code, length and (Klipper) the checked dictionary fit each other, and nothing of it is blank.
 * `half-written`: blank where it must not be. `damaged`: it does not fit itself. `unproven`: nothing in it says so.
 */
export type Integrity = 'whole' | 'half-written' | 'damaged' | 'unproven';

export interface Verdict {
  readonly integrity: Integrity;
  /** In words; null where it is whole. */
  readonly why: string | null;
}

/** No build has so many bytes of ones in a row; a page that was erased and not written has (the smallest is 1 KiB). */
const HOLE_BYTES = 1024;
/** Written last by this program, in one transfer at least of this size: while it is blank nothing behind it starts. */
const HEAD_BYTES = 64;

/**
 * @param memory what lies there, from the program's address on, as far as it was read
 * @param resident what it was recognised as
 */
export function integrityOf(memory: Uint8Array, resident: Resident): Verdict {
  const { kind, address, damage, isCut, programBytes } = resident;
  const own = memory.subarray(0, programBytes ?? memory.length);
  if (isBlank(own.subarray(0, HEAD_BYTES)) && kind !== 'blank')
    return {
      integrity: 'half-written',
      why: `its first bytes at ${hex(address)} are blank: a write did not end`,
    };
  const entry = readVectors(memory)?.entry;
  if (entry !== undefined && isBlankAt(memory, entry - address)) {
    const why = `it begins at ${hex(entry)}, where the flash is blank: a write did not end`;
    return { integrity: 'half-written', why };
  }
  const hole = programBytes === null ? undefined : holeIn(own);
  if (hole !== undefined) {
    const why = `it is blank from ${hex(address + hole)} on for at least ${HOLE_BYTES} bytes: a write did not end`;
    return { integrity: 'half-written', why };
  }
  if (isCut) return { integrity: 'damaged', why: 'it does not end where it says that it does' };
  if (damage !== null) return { integrity: 'damaged', why: damage };
  if (programBytes === null) return { integrity: 'unproven', why: 'nothing in it says how long it is' };
  return { integrity: 'whole', why: null };
}

/** The offset of the first aligned block in it that is all ones. */
function holeIn(program: Uint8Array): number | undefined {
  for (let at = 0; at + HOLE_BYTES <= program.length; at += HOLE_BYTES)
    if (isBlank(program.subarray(at, at + HOLE_BYTES))) return at;
  return undefined;
}

/** An instruction of ones is none that a program begins with. */
function isBlankAt(memory: Uint8Array, offset: number): boolean {
  const code = memory.subarray(Math.max(0, offset), Math.max(0, offset) + 4);
  return offset >= 0 && code.length === 4 && isBlank(code);
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === ERASED);
}
