// Virtual bench, firmware: what passes from one program to the next in RAM, and how Klipper asks for a bootloader
// (Klipper 84104bbbd, src/generic/armcm_reset.c, src/stm32/dfu_reboot.c; Katapult src/canboot.h).

import { bootAddress, type ChipFlash, type KlipperProgram } from './cpu.ts';
import { flashSizeBytes } from './silicon/silicon.ts';

/** UNPROVEN: kept over a reset whatever ran in between, lost with the power. */
export interface RamWords {
  /** REQUEST_CANBOOT or REQUEST_START_APP at the top of RAM, above Katapult's stack. */
  katapult: 'empty' | 'katapult' | 'start-app';
  /** "USB BOOT", 1 KiB below the top of RAM (F4), or 32 KiB into AXI SRAM (H7). */
  rom: boolean;
}

/** CANBOOT_SIGNATURE, read as bytes. */
const SIGNATURE = Buffer.from('CanBoot!', 'latin1');

/**
 * The word that Klipper writes before it resets the chip; undefined where it goes on as if nobody had asked. An RP2040
 * writes none for its ROM: it calls it (src/rp2040/bootrom.c, reset_to_usb_boot), in every build.
 */
export function bootloaderRequest(
  flash: ChipFlash,
  { linkAddress, transport }: KlipperProgram,
): keyof RamWords | 'rom-at-once' | undefined {
  const boot = bootAddress(flash);
  if (boot !== undefined && linkAddress !== boot && hasKatapult(flash, boot)) return 'katapult';
  if (flash.mcu.family === 'rp2040') return 'rom-at-once';
  // STM32_DFU_ROM_ADDRESS is 0 in builds without USB (src/stm32/Kconfig:276).
  return transport === 'usb' || transport === 'bridge' ? 'rom' : undefined;
}

/** canboot_reset: the eight bytes in front of the bootloader's reset handler, torn or not behind them. */
function hasKatapult(flash: ChipFlash, boot: number): boolean {
  const { flashBase } = flash.mcu;
  const vectors = Buffer.from(flash.peek(boot, 8));
  const request = vectors.readUInt32LE(0);
  const signature = vectors.readUInt32LE(4) - 9;
  if (request % 8 !== 0 || signature % 8 !== 0) return false;
  if (signature < flashBase || signature + 8 > flashBase + flashSizeBytes(flash.mcu)) return false;
  return SIGNATURE.equals(flash.peek(signature, 8));
}
