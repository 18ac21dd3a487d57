// Virtual bench, firmware: Katapult's deployer, which replaces the bootloader that started it (src/deployer.c).

import type { ChipFlash } from './cpu.ts';
import type { FlashWidth } from './silicon/flash-memory.ts';

/** It waits before it erases. */
export const DEPLOYER_WAIT_MS = 100;

/**
 * Erases the sectors that the new bootloader lies in and writes it. Resolves true when it is whole; power loss
 * or a reset in between leaves no bootloader at all.
 */
export async function deploy(flash: ChipFlash, katapult: Uint8Array): Promise<boolean> {
  const { mcu } = flash;
  // It is Katapult's own flash code (src/stm32/flash.c).
  const width: FlashWidth = mcu.family === 'h7' ? 'x8' : 'x32';
  const end = mcu.flashBase + katapult.length;
  for (const sector of mcu.sectors) {
    if (sector.address < end && (await flash.eraseSector(sector.address, width)) !== 'ok') return false;
  }
  const word = mcu.writeOnceWordBytes ?? 4;
  const padded = new Uint8Array(Math.ceil(katapult.length / word) * word).fill(0xff);
  padded.set(katapult);
  return (await flash.program(mcu.flashBase, padded, width)) === 'ok';
}
