// The passport of a firmware file: what it is, for which chip, linked where, talking how. Refuses what cannot be whole.
import { hex } from '../errors.ts';
import { foreignImage, truncatedImage } from './complaints.ts';
import { type FirmwareImage, readImage } from './image.ts';
import type { Passport } from './passport.ts';
import { recognize } from './recognize.ts';
import { sha256 } from './sha256.ts';
import { linkBases, readVectors, type Vectors } from './vectors.ts';

export type { Passport } from './passport.ts';

/** Throws `image-empty`, `image-truncated`, `image-foreign` or `image-too-large`. An unknown kind is no error here. */
export function inspect(file: Uint8Array, name: string): Passport {
  return inspectImage(readImage(file, name));
}

export function inspectImage(image: FirmwareImage): Passport {
  const { name, format, address, bytes } = image;
  const vectors = readVectors(bytes);
  if (vectors === undefined) throw foreignImage(name, 'does not begin with the vectors of a program');
  refuseUnreachableEntry(image, vectors);
  const { damage, isCut, ...traits } = recognize(bytes, vectors, address);
  if (isCut) {
    const whole = traits.programBytes === null ? 'more' : `${traits.programBytes}`;
    const what = `${traits.kind} of ${whole} bytes, but only ${bytes.length} are there`;
    throw truncatedImage(name, what, `${name}+${hex(bytes.length)}`);
  }
  if (damage !== null) throw truncatedImage(name, `${traits.kind}, but ${damage}`);
  return {
    ...traits,
    name,
    format,
    containerAddress: address,
    sizeBytes: bytes.length,
    sha256: sha256(bytes),
    initialStackPointer: vectors.initialStackPointer,
    resetVector: vectors.resetVector,
  };
}

/** Wherever the program may be linked, its first instruction must be in the file. */
function refuseUnreachableEntry({ name, address, bytes }: FirmwareImage, vectors: Vectors): void {
  const bases = address === null ? linkBases(vectors) : [address];
  const isInside = bases.some((base) => vectors.entry >= base && vectors.entry + 2 <= base + bytes.length);
  if (isInside) return;
  const where = `the program begins at ${hex(vectors.entry)}`;
  const beforeIt = bases.every((base) => vectors.entry < base);
  if (beforeIt) throw foreignImage(name, `${where}, before the first byte of the file`);
  throw truncatedImage(name, `${where}, past the end of the file`, `${name}+${hex(bytes.length)}`);
}
