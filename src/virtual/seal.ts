// Virtual bench, firmware: the seal that forged images carry, so that the virtual CPU notices a torn one.
//
// Real code breaks somewhere when a byte of it is wrong; filler cannot. The seal stands in the vectors 7 to 10,
// which Cortex-M reserves: magic, length, CRC-32, crystal. The CRC covers the address the image is linked for.

import { crc32 } from 'node:zlib';

const MAGIC = 0x43_54_4f_56; // "VOTC" read as bytes
const AT = { magic: 28, length: 32, crc: 36, crystal: 40 } as const;
const SEAL_END = 44;

export interface Seal {
  readonly sizeBytes: number;
  readonly crystalHz: number;
  readonly crc: number;
}

export function plantSeal(image: Uint8Array, linkAddress: number, crystalHz: number): void {
  const view = viewOf(image);
  view.setUint32(AT.magic, MAGIC, true);
  view.setUint32(AT.length, image.length, true);
  view.setUint32(AT.crystal, crystalHz, true);
  view.setUint32(AT.crc, sealCrc(image, linkAddress), true);
}

/** The seal at the start of `memory`, unchecked; undefined where there is none. */
export function readSeal(memory: Uint8Array): Seal | undefined {
  if (memory.length < SEAL_END) return undefined;
  const view = viewOf(memory);
  if (view.getUint32(AT.magic, true) !== MAGIC) return undefined;
  return {
    sizeBytes: view.getUint32(AT.length, true),
    crystalHz: view.getUint32(AT.crystal, true),
    crc: view.getUint32(AT.crc, true),
  };
}

/** True where every byte of the image is as forged and it lies where it was linked. */
export function sealHolds(memory: Uint8Array, seal: Seal, address: number): boolean {
  if (seal.sizeBytes > memory.length || seal.sizeBytes < SEAL_END) return false;
  return sealCrc(memory.subarray(0, seal.sizeBytes), address) === seal.crc;
}

function sealCrc(image: Uint8Array, linkAddress: number): number {
  const copy = image.slice();
  viewOf(copy).setUint32(AT.crc, 0, true);
  const address = new Uint8Array(4);
  viewOf(address).setUint32(0, linkAddress, true);
  return crc32(address, crc32(copy));
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
