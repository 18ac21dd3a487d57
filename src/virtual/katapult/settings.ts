// Virtual bench, Katapult: how the firmware behaves where nobody has looked at a real chip.

export interface KatapultSettings {
  /** REQUEST_BLOCK, or a block to be written, at an address where this chip has no flash. */
  readonly outsideFlash: 'hang' | 'zeros';
  /** A flash word whose ECC does not fit, read by the core: a bus fault, or whatever the cells give. */
  readonly eccRead: 'hang' | 'garbage';
}

export const UNKIND_KATAPULT: KatapultSettings = {
  // UNPROVEN: src/flashcmd.c has no range check, and a read of nothing is a bus fault, which ends in DefaultHandler. RAM
  // and the chip's own identity could be read on a real one; nobody has shown it.
  outsideFlash: 'hang',
  // UNPROVEN: RM0468 section 4.7.7 says bus error. An H723's first SEND_BLOCK that "faults, USB drops", cured by a mass
  // erase, fits it (real-silicon.md section 7).
  eccRead: 'hang',
};

export const KIND_KATAPULT: KatapultSettings = { outsideFlash: 'zeros', eccRead: 'garbage' };
