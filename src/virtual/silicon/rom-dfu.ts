// virtual silicon: the ROM bootloader's DFU device, standard USB requests in front of the DFU machine.
import type { Clock } from '../../ports/clock.ts';
import type { UsbFunction } from '../usb-function.ts';
import type { FlashMemory } from './flash-memory.ts';
import type { RomSettings } from './rom-settings.ts';
import type { McuSilicon } from './silicon.ts';

export interface RomDfuOptions {
  readonly mcu: McuSilicon;
  readonly flash: FlashMemory;
  readonly clock: Clock;
  /** The 12 bytes at `uidAddress`. */
  readonly uid: Uint8Array;
  readonly settings: RomSettings;
  /** The ROM jumps to the program at `address`, whatever BOOT0 says. The board stops this function then. */
  onLeave(address: number): void;
  /** The ROM resets the chip (after read-unprotect). */
  onReset(): void;
  /** How much longer than the work itself a held request is held. */
  readonly heldMs?: number;
}

export function createRomDfu(options: RomDfuOptions): UsbFunction {
  throw new Error(`stub ${options.mcu.name}`);
}
