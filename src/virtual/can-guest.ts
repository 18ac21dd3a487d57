// Virtual bench, the seam between a board and a CAN bus: what a program of a CAN build is to whoever has the wire.

import type { KatapultProgram, KlipperProgram } from './cpu.ts';
import type { KatapultFirmware, KatapultParts } from './katapult/firmware.ts';

export type CanGuest =
  | {
      readonly kind: 'klipper';
      readonly program: KlipperProgram;
      /** The admin frame 02 with its uuid. */
      requestBootloader(): void;
    }
  | {
      readonly kind: 'katapult';
      readonly program: KatapultProgram;
      /** Called once: the main loop, to be fed from the bus. It is stopped by the chip that runs it. */
      firmware(wire: Required<Pick<KatapultParts, 'canUuid' | 'respond'>>): KatapultFirmware;
    };

/** Called when the program's CAN controller is up; what it returns is called when reset or power falls. */
export type JoinCan = (guest: CanGuest) => () => void;
