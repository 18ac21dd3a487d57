// Which firmware the bytes begin with: each recogniser in turn, the most certain first.
import { hex } from '../errors.ts';
import { u16 } from './bytes.ts';
import { ERASED } from './flatten.ts';
import { recognizeDeployer, recognizeKatapult } from './katapult-image.ts';
import { recognizeKlipper } from './klipper-image.ts';
import { NOTHING_KNOWN, type Resident, type Traits } from './passport.ts';
import { sha256 } from './sha256.ts';
import { recognizeStock } from './stock-image.ts';
import { linkBases, readVectors, type Vectors } from './vectors.ts';

/** `likely`: where the program is thought to be linked; every other address is tried after it. */
export function recognize(bytes: Uint8Array, vectors: Vectors, likely: number | null): Traits {
  const everywhere = linkBases(vectors);
  const bases = likely === null ? everywhere : [likely, ...everywhere.filter((base) => base !== likely)];
  return (
    recognizeKatapult(bytes, vectors) ??
    recognizeDeployer(bytes, vectors, bases) ??
    recognizeKlipper(bytes, vectors, bases) ??
    recognizeStock(bytes, vectors) ??
    NOTHING_KNOWN
  );
}

/**
 * What lies in a chip at `address`, where `memory` are the bytes read from there on: a whole dump or only its beginning,
 * with erased flash or remains of older firmware behind the program. Never throws.
 */
export function recognizeAt(memory: Uint8Array, address: number): Resident {
  const nothing = { ...NOTHING_KNOWN, address, sizeBytes: null, sha256: null };
  // Zeros are not blank: flash that was never written reads as ones, and zeros are what a failed read gives.
  if (memory.every((byte) => byte === ERASED)) return { ...nothing, kind: 'blank' };
  const vectors = readVectors(memory);
  if (vectors === undefined) return { ...nothing, damage: `no program begins at ${hex(address)}` };
  const traits = entered(recognize(memory, vectors, address), memory, vectors, address);
  const size = traits.programBytes;
  return {
    ...traits,
    address,
    sizeBytes: size,
    sha256: size !== null && !traits.isCut ? sha256(memory.subarray(0, size)) : null,
    damage: misplaced(traits, address) ?? (traits.isCut ? null : traits.damage),
  };
}

/** Of a program that nobody knows its first instruction tells at least whether it can be whole here. */
function entered(traits: Traits, memory: Uint8Array, { entry }: Vectors, address: number): Traits {
  if (traits.kind !== 'unknown') return traits;
  const where = `its first instruction is at ${hex(entry)}`;
  if (entry < address) return { ...traits, damage: `${where}, before it` };
  const instruction = u16(memory, entry - address);
  if (instruction === undefined) return { ...traits, isCut: true };
  return instruction === ERASED * 0x101 ? { ...traits, damage: `${where}, which is erased` } : traits;
}

function misplaced(traits: Traits, address: number): string | null {
  if (traits.linkAddress === null || traits.linkAddress === address) return null;
  return `linked for ${hex(traits.linkAddress)}, but lies at ${hex(address)}`;
}
