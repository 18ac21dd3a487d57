// Virtual bench, firmware: how Klipper and Katapult behave where nobody has looked at a real chip.

import { KIND_KATAPULT, UNKIND_KATAPULT, type KatapultSettings } from './katapult/settings.ts';

export interface FirmwareSettings extends KatapultSettings {
  /** Klipper's jump into the ROM (src/stm32/dfu_reboot.c): the ROM comes up on USB, or nothing does until a reset. */
  readonly romJump: 'works' | 'hangs';
  /** The line coding that SET_LINE_CODING is judged by when Klipper looks for 1200 baud: the one before, or its own. */
  readonly touchSees: 'coding-before' | 'own-coding';
}

const UNKIND: FirmwareSettings = {
  ...UNKIND_KATAPULT,
  // F446, F407 by users; H723 ten times out of ten by BTT (Klipper#5936).
  romJump: 'works',
  // UNPROVEN: src/generic/usb_cdc.c looks as soon as it has asked for the data, which come in a packet of their own.
  touchSees: 'coding-before',
};

/** What holds for `mcu` (Klipper's spelling), in the unkind reading. */
export function defaultFirmwareSettings(mcu: string): FirmwareSettings {
  // UNPROVEN on our own: "software jump to ROM DFU does not work", BTT OCTOPUS-Pro#3, Klipper#5703; BOOT0 is needed.
  return mcu === 'stm32f429xx' ? { ...UNKIND, romJump: 'hangs' } : UNKIND;
}

/** The other reading of everything that is unproven. */
export function kindFirmwareSettings(): FirmwareSettings {
  return { ...UNKIND, ...KIND_KATAPULT, romJump: 'works', touchSees: 'own-coding' };
}
