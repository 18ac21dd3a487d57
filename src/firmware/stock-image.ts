// BIGTREETECH's own bootloader, which flashes firmware.bin from the SD card.
import { asciiBytes, countWord, indexOf } from './bytes.ts';
import { STM32 } from './memory-map.ts';
import { NOTHING_KNOWN, type Traits } from './passport.ts';
import type { Vectors } from './vectors.ts';

/** The file it looks for and the name it gives it afterwards; in all four published bootloaders (F407, F429, F446, H723). */
const FILE_NAMES = ['firmware.bin', 'FIRMWARE.CUR'].map((name) => asciiBytes(name));

/** All four fit into 32 KiB (27216 to 32464 bytes), so what is beyond belongs to somebody else. */
const MAX_LENGTH = 0x8000;

/** Where it may start the application: F4 and H7. */
const LAUNCH_ADDRESSES = [0x08008000, 0x08020000] as const;

export function recognizeStock(bytes: Uint8Array, vectors: Vectors): Traits | undefined {
  const own = bytes.subarray(0, MAX_LENGTH);
  if (vectors.map !== STM32 || vectors.entry - STM32.flashStart >= own.length) return undefined;
  if (!FILE_NAMES.every((name) => indexOf(own, name) >= 0)) return undefined;
  return {
    ...NOTHING_KNOWN,
    kind: 'stock-bootloader',
    linkAddress: STM32.flashStart,
    launchAddress: launchAddress(own),
  };
}

/** Its sector table names many addresses once; the one it starts is loaded in several places (4 in each published one). */
function launchAddress(bytes: Uint8Array): number | null {
  const several = LAUNCH_ADDRESSES.filter((address) => countWord(bytes, address, 2) > 1);
  return several.length === 1 ? (several[0] ?? null) : null;
}
