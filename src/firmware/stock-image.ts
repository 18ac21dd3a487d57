// BIGTREETECH's own bootloader, which flashes firmware.bin from the SD card.
import { asciiBytes, countWord, indexOf, u32 } from './bytes.ts';
import { isFlashAddress, STM32 } from './memory-map.ts';
import { NOTHING_KNOWN, type Traits } from './passport.ts';
import type { Vectors } from './vectors.ts';

/** The file it looks for and the name it gives it afterwards; in all four published bootloaders (F407, F429, F446, H723). */
const FILE_NAMES = ['firmware.bin', 'FIRMWARE.CUR'].map((name) => asciiBytes(name));

/** All four fit into 32 KiB (27216 to 32464 bytes), so what is beyond belongs to somebody else. */
const MAX_LENGTH = 0x8000;

/** Where it may start the application: F4 and H7. */
const LAUNCH_ADDRESSES = [0x08008000, 0x08020000] as const;

/** The vectors of the core; behind them stands one for each interrupt of the chip. */
const CORE_VECTORS = 16;

/**
 * It names its chip nowhere, but has as many interrupts as that chip ("Interrupt and exception vectors" of RM0090 for F407
 * and F429, RM0390, RM0468), in all published ones and the two older ones for the F446.
 */
const MCU_BY_INTERRUPTS: ReadonlyMap<number, string> = new Map([
  [82, 'stm32f407xx'],
  [91, 'stm32f429xx'],
  [97, 'stm32f446xx'],
  [163, 'stm32h723xx'],
]);

export function recognizeStock(bytes: Uint8Array, vectors: Vectors): Traits | undefined {
  const own = bytes.subarray(0, MAX_LENGTH);
  if (vectors.map !== STM32 || vectors.entry - STM32.flashStart >= own.length) return undefined;
  if (!FILE_NAMES.every((name) => indexOf(own, name) >= 0)) return undefined;
  return {
    ...NOTHING_KNOWN,
    kind: 'stock-bootloader',
    linkAddress: STM32.flashStart,
    mcu: MCU_BY_INTERRUPTS.get(interruptCount(own)) ?? null,
    launchAddress: launchAddress(own),
  };
}

/** Its sector table names many addresses once; the one it starts is loaded in several places (4 in each published one). */
function launchAddress(bytes: Uint8Array): number | null {
  const several = LAUNCH_ADDRESSES.filter((address) => countWord(bytes, address, 2) > 1);
  return several.length === 1 ? (several[0] ?? null) : null;
}

/** Vectors that are not used are zero; behind the last one stands code, which is no odd address in flash. */
function interruptCount(bytes: Uint8Array): number {
  for (let count = 0; ; count += 1) {
    const vector = u32(bytes, 4 * (CORE_VECTORS + count));
    const isVector =
      vector !== undefined && (vector === 0 || (vector % 2 === 1 && isFlashAddress(STM32, vector)));
    if (!isVector) return count;
  }
}
