// Where flash and RAM lie in the STM32 parts this program meets, and where an application may start in them.

/** Main flash as the core sees it: RM0090, RM0390, RM0468, "Memory map". */
export const FLASH_START = 0x08000000;

/** The largest flash of any Octopus or CAN node (F429ZI, H743: 2 MiB), and so the most an image can hold. */
export const MAX_FLASH = 0x200000;

/** RAM that a stack may lie in; the end is one past the last byte, where an empty stack points. */
const RAM = [
  { start: 0x10000000, end: 0x10010000 }, // CCM, F405/407/429 (RM0090, 2.3.1)
  { start: 0x20000000, end: 0x20080000 }, // SRAM or DTCM, all parts
  { start: 0x24000000, end: 0x24080000 }, // AXI SRAM, H7 (RM0468, 2.4)
  { start: 0x30000000, end: 0x30048000 }, // SRAM1-3, H7
] as const;

/**
 * Every distance from the start of flash that Klipper or Katapult can be linked at:
 * the STM32_FLASH_START_* and STM32_APP_START_* symbols of their src/stm32/Kconfig.
 */
export const LINK_OFFSETS = [
  0, 0x800, 0x1000, 0x2000, 0x4000, 0x5000, 0x7000, 0x8000, 0x8800, 0x9000, 0xc000, 0x10000, 0x20000, 0x20200,
] as const;

export function isFlashAddress(address: number): boolean {
  return address >= FLASH_START && address < FLASH_START + MAX_FLASH;
}

export function isStackTop(address: number): boolean {
  return address % 4 === 0 && RAM.some(({ start, end }) => address > start && address <= end);
}

/** Whether two addresses lie in the same RAM. */
export function sameRam(one: number, other: number): boolean {
  return RAM.some(({ start, end }) => [one, other].every((address) => address >= start && address <= end));
}
