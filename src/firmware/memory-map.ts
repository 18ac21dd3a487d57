// Where flash and RAM lie in the chips this program meets, and where an application may start in them.

export interface MemoryMap {
  readonly flashStart: number;
  /** What the ROM wants to find before the vectors at the start of flash. */
  readonly bootBytes: number;
  /** RAM that a stack may lie in; the end is one past the last byte, where an empty stack points. */
  readonly ram: readonly { readonly start: number; readonly end: number }[];
  /** Every distance from the start of flash that Klipper or Katapult can be linked at. */
  readonly linkOffsets: readonly number[];
}

/** The largest flash of any Octopus or CAN node (F429ZI, H743, RP2040 boards: 2 MiB), and so the most an image can hold. */
export const MAX_FLASH = 0x200000;

/** Main flash and RAM as the core sees them: RM0090, RM0390, RM0468, RM0444, RM0091, "Memory map". */
export const STM32: MemoryMap = {
  flashStart: 0x08000000,
  bootBytes: 0,
  ram: [
    { start: 0x10000000, end: 0x10010000 }, // CCM, F405/407/429 (RM0090, 2.3.1)
    { start: 0x20000000, end: 0x20080000 }, // SRAM or DTCM, all parts
    { start: 0x24000000, end: 0x24080000 }, // AXI SRAM, H7 (RM0468, 2.4)
    { start: 0x30000000, end: 0x30048000 }, // SRAM1-3, H7
  ],
  // The STM32_FLASH_START_* and STM32_APP_START_* symbols of their src/stm32/Kconfig.
  linkOffsets: [
    0, 0x800, 0x1000, 0x2000, 0x4000, 0x5000, 0x7000, 0x8000, 0x8800, 0x9000, 0xc000, 0x10000, 0x20000,
    0x20200,
  ],
};

/** RP2040 datasheet 2.2 (addresses), 2.6.2 (264 KiB of RAM), 2.8.1.3.1 (256 bytes of second stage before the vectors). */
export const RP2040: MemoryMap = {
  flashStart: 0x10000000,
  bootBytes: 0x100,
  ram: [{ start: 0x20000000, end: 0x20042000 }],
  // RPXXXX_FLASH_START_0100, whose file begins with the second stage, and _4000: src/rp2040/Kconfig of both.
  linkOffsets: [0, 0x4000],
};

/** The chips whose flash holds the address, or undefined. */
export function memoryMapAt(address: number): MemoryMap | undefined {
  return [STM32, RP2040].find((map) => isFlashAddress(map, address));
}

export function isFlashAddress(map: MemoryMap, address: number): boolean {
  return address >= map.flashStart && address < map.flashStart + MAX_FLASH;
}

export function isStackTop(map: MemoryMap, address: number): boolean {
  return address % 4 === 0 && map.ram.some(({ start, end }) => address > start && address <= end);
}

/** Whether two addresses lie in the same RAM. */
export function sameRam(map: MemoryMap, one: number, other: number): boolean {
  return map.ram.some(({ start, end }) =>
    [one, other].every((address) => address >= start && address <= end),
  );
}
