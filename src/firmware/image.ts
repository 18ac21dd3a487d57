// A firmware file as it was given, made into the bytes that go into flash. The format is told by content, never by name.
import { hex } from '../errors.ts';
import { emptyImage, foreignImage, tooLargeImage, truncatedImage } from './complaints.ts';
import { looksLikeElf, readElf } from './elf.ts';
import { flatten, type Piece } from './flatten.ts';
import { foreignFormat } from './foreign.ts';
import { looksLikeIntelHex, readIntelHex } from './intel-hex.ts';
import { MAX_FLASH } from './memory-map.ts';
import { readVectors } from './vectors.ts';

export interface FirmwareImage {
  readonly name: string;
  readonly format: 'bin' | 'hex' | 'elf';
  /** Where the file itself says it belongs; null for raw binary, which does not say. */
  readonly address: number | null;
  readonly bytes: Uint8Array;
}

/** HEX takes 2.8 characters a byte and ELF carries debug data: a container may be larger than what it holds. */
const MAX_FILE = 4 * MAX_FLASH;

/** A stack pointer and a reset vector: less is no program. */
const VECTOR_BYTES = 8;

/** Throws `image-empty`, `image-truncated`, `image-foreign` or `image-too-large`. */
export function readImage(file: Uint8Array, name: string): FirmwareImage {
  if (file.length === 0) throw emptyImage(name, 'the file is empty');
  if (file.length > MAX_FILE) throw tooLargeImage(name, file.length);
  const image = readContainer(file, name);
  if (image.bytes.length > MAX_FLASH) throw tooLargeImage(name, image.bytes.length);
  for (const blank of [0xff, 0x00]) {
    if (image.bytes.every((byte) => byte === blank))
      throw emptyImage(name, `nothing but ${hex(blank).slice(-2)} bytes`);
  }
  if (image.bytes.length < VECTOR_BYTES) throw truncatedImage(name, `only ${image.bytes.length} bytes`);
  if (readVectors(image.bytes) === undefined) {
    throw foreignImage(
      name,
      'does not begin with the vectors of an STM32 or RP2040 program',
      undefined,
      `${name}+${hex(0)}`,
    );
  }
  return image;
}

function readContainer(file: Uint8Array, name: string): FirmwareImage {
  if (looksLikeElf(file)) return { name, format: 'elf', ...laidOut(readElf(file, name), name) };
  if (looksLikeIntelHex(file)) return { name, format: 'hex', ...laidOut(readIntelHex(file, name), name) };
  const foreign = foreignFormat(file);
  if (foreign !== undefined) throw foreignImage(name, foreign.what, foreign.advice);
  return { name, format: 'bin', address: null, bytes: file };
}

function laidOut(pieces: readonly Piece[], name: string): { address: number; bytes: Uint8Array } {
  if (pieces.every(({ bytes }) => bytes.length === 0))
    throw emptyImage(name, 'the file holds no data for flash');
  return flatten(pieces, name);
}
