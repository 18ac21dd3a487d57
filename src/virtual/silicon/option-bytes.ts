// virtual silicon: the option bytes as they are read: read protection, and which sectors are write-protected.
import type { FlashMemory } from './flash-memory.ts';
import type { MemoryRegion } from './silicon.ts';

/** RM0090 table 16 and 17, RM0468 section 4.9.8: level 0, and one of the many values that mean level 1. */
const RDP = { open: 0xaa, level1: 0x55 } as const;

type Protection = Pick<FlashMemory, 'mcu' | 'readProtected' | 'writeProtected'>;

/** The content of one region of `mcu.optionBytes`. */
export function optionBytes(flash: Protection, { address, sizeBytes }: MemoryRegion): Uint8Array {
  if (flash.mcu.family === 'h7') return h7Registers(flash, sizeBytes);
  const bytes = new Uint8Array(sizeBytes).fill(0xff);
  // The F42x has a second region, for the sectors 12 and up that a 1 MB part does not have.
  if (address === flash.mcu.optionBytes[0]?.address) fillF4(bytes, flash);
  return bytes;
}

/** RM0090 tables 15 to 17: bits 15:0 of each of two 64-bit words; what is reserved reads as ones here. */
function fillF4(bytes: Uint8Array, flash: Protection): void {
  const view = new DataView(bytes.buffer);
  // USER: no watchdog, no reset in Stop or Standby, BOR off; bit 4 of an F42x (BFB2) is 0 by default.
  view.setUint16(0, (rdpOf(flash) << 8) | 0xef, true);
  view.setUint16(8, unprotectedBits(flash, F4_DEFAULT[flash.mcu.name] ?? 0xffff), true);
}

/**
 * Above the bits of the sectors: F40x 0xF, not used. F42x: SPRMOD and DB1M are 0 by default (table 17), and F446 has
 * SPRMOD too (RM0390 table 9). UNPROVEN for F446: what its unused bits read.
 */
const F4_DEFAULT: Readonly<Record<string, number>> = { stm32f429xx: 0x3fff, stm32f446xx: 0x7fff };

/**
 * RM0468 section 4.9: the ROM's "option bytes" from 0x5200201C on are the flash registers, from FLASH_OPTSR_CUR (offset
 * 0x1C) to FLASH_OPTSR2_CUR (0x70). Their reset values play no part here: zero.
 */
function h7Registers(flash: Protection, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  const view = new DataView(bytes.buffer);
  const status = (rdpOf(flash) << 8) | 0xf0;
  const sectors = unprotectedBits(flash, 0xff);
  view.setUint32(0x00, status, true); // FLASH_OPTSR_CUR
  view.setUint32(0x04, status, true); // FLASH_OPTSR_PRG
  view.setUint32(0x1c, sectors, true); // FLASH_WPSN_CUR1R
  view.setUint32(0x20, sectors, true); // FLASH_WPSN_PRG1R
  return bytes;
}

function rdpOf({ readProtected }: Protection): number {
  return readProtected ? RDP.level1 : RDP.open;
}

/** A cleared bit protects its sector. */
function unprotectedBits({ mcu, writeProtected }: Protection, all: number): number {
  return mcu.sectors.reduce(
    (bits, { address }, index) => (writeProtected.has(address) ? bits & ~(1 << index) : bits),
    all,
  );
}
