// virtual silicon: how the ROM bootloader behaves where chips differ or where nobody has looked.
import type { McuName } from './silicon.ts';

/**
 * Times in ms that the ROM *says* while busy (bwPollTimeout). None is 0: comma.ai's panda takes a zero
 * low byte for "done", and works on F413 and H725 (real-silicon.md section 2).
 */
export interface PollTimeouts {
  readonly eraseMs: number;
  readonly massEraseMs: number;
  readonly setAddressMs: number;
  readonly writeMs: number;
}

export interface RomSettings {
  /** First state after entry: F4 dfuERROR/errFIRMWARE, H7 dfuIDLE. */
  readonly coldStart: 'error-firmware' | 'idle';
  readonly pollTimeouts: PollTimeouts;
  /** The control transfer that the chip holds while flash works; `none` answers dfuDNBUSY until done. */
  readonly heldRequest: 'dnload' | 'first-getstatus' | 'second-getstatus' | 'none';
  /** What "wTransferSize" is in the address of block n: the length of this very block, or the constant. */
  readonly blockStride: 'own-length' | 'transfer-size';
  /** CLRSTATUS outside dfuERROR; `error-unknown` is ACK, then dfuERROR/errUNKNOWN; `accepted` is dfuIDLE. */
  readonly clrStatusOutsideError: 'stall' | 'error-unknown' | 'accepted';
  /** Added to the low word of a serial number that is made from the UID. */
  readonly serialAddend: 0 | 0x0a;
  /** Whether the memory string promises the largest part of the family instead of this one. */
  readonly claimsLargestFlash: boolean;
  /** Addresses that the memory string promises and this chip does not have. */
  readonly beyondFlash: 'refused' | 'silent';
  /** UID and flash size register. */
  readonly systemInfo: 'refused' | 'readable';
  /** Option bytes, OTP, Device Feature. `hang`: the core does not survive a read of the option bytes. */
  readonly otherAlts: 'refused' | 'readable' | 'hang';
  readonly setAddressWhenProtected: 'errVENDOR' | 'accepted';
  /** bStatus of an erase outside flash. */
  readonly eraseBadAddress: 'errTARGET' | 'errADDRESS';
  /** What flash refused (write protection, misaligned or twice-programmed H7 words): told or not. */
  readonly flashErrors: 'silent' | 'reported';
  /** UPLOAD that runs past the end of a memory. */
  readonly uploadPastEnd: 'stall' | 'short';
  /** UPLOAD of H7 words with a double ECC error, as a torn erase leaves them: a bus fault in the ROM. */
  readonly eccRead: 'hang' | 'garbage';
  /** H7: what a DNLOAD that is no multiple of 32 bytes leaves in its last word. */
  readonly lastWord: 'stale-bytes' | 'lost' | 'padded';
  /** Whether erasing a sector also moves the address pointer there. */
  readonly eraseMovesPointer: boolean;
  /** Read-unprotect on a chip that is not protected. */
  readonly unprotectOfOpenChip: 'mass-erase' | 'nothing';
  /** How a mass erase that worked is answered. */
  readonly massEraseEnd: 'ok' | 'errUNKNOWN';
  /** H7: after an UPLOAD of flash the first 32 bytes of the next write stay as they were. */
  readonly readBeforeWrite: 'off' | 'healed-by-erase' | 'lasting';
  /** dfuDNBUSY for ever after an erase that did work, until CLRSTATUS twice. */
  readonly lastingBusy: 'off' | 'after-erase';
  /** F4 says dfuMANIFEST; H7 stalls that GETSTATUS, or is leaving since the DNLOAD. */
  readonly leave: 'manifest' | 'stall-getstatus' | 'at-dnload';
  /** Zero-length DNLOAD without a SET_ADDRESS before it. */
  readonly leaveWithoutAddress: 'error' | 'flash-base';
  /** Between the last answer and the disconnect. */
  readonly leaveDelayMs: number;
  /** Says that it leaves and never does. */
  readonly stuckOnLeave: boolean;
}

/** What was observed on the part or its die; where nothing was, the reading that hurts a careless host most. */
export function defaultRomSettings(mcu: McuName): RomSettings {
  return mcu === 'stm32h723xx' ? H7 : { ...F4, ...F4_PARTS[mcu] };
}

/** The same, with the other reading of everything marked UNPROVEN. What was observed stays. */
export function kindRomSettings(mcu: McuName): RomSettings {
  return { ...defaultRomSettings(mcu), ...KIND, ...(mcu === 'stm32h723xx' ? H7_KIND : F4_KIND[mcu]) };
}

const UNKIND = {
  // UNPROVEN: AN2662 section 4.4.1 "Where wTransferSize is the length of the requested data buffer".
  blockStride: 'own-length',
  // UNPROVEN on F407ZE: only the 1 MB string of F405/407 is recorded. Fact on H723 (Manta M8P v2).
  claimsLargestFlash: true,
  // UNPROVEN (real-silicon.md section 9.8): errTARGET was seen on F407 only, at address 0.
  beyondFlash: 'refused',
  // UNPROVEN: AN2662 lets system memory be read, but the alt settings of F4 and H7 do not name it.
  systemInfo: 'refused',
  // UNPROVEN (section 9.12): never seen on F446 or H723. Betaflight's configurator reads the option bytes of every F4, F7
  // and H7 that it flashes, in alternate setting 0, and takes a refusal for read protection (@03690e0).
  otherAlts: 'refused',
  // UNPROVEN: betaflight-configurator@e1320fe says errVENDOR, AN2662 section 4.5.2 says accepted.
  setAddressWhenProtected: 'errVENDOR',
  // UNPROVEN (section 9.8): AN2662 section 4.5.3 says errTARGET; DFU 1.1 would say errADDRESS.
  eraseBadAddress: 'errTARGET',
  // UNPROVEN (section 9.8): AN2662 section 4.5.3 "No error is returned" for write-protected sectors.
  flashErrors: 'silent',
  // UNPROVEN (section 9.6); for 0xE0042000 an F401 "returns Status(10)" (qa-community 16931).
  uploadPastEnd: 'stall',
  // UNPROVEN: RM0468 section 4.7.7 says bus error; what the ROM makes of one nobody has reported.
  eccRead: 'hang',
  // UNPROVEN (section 9.7): no report of a short H7 block that was read back.
  lastWord: 'stale-bytes',
  // UNPROVEN: AN3156 does not say; ST's own DFU class for applications does move it.
  eraseMovesPointer: true,
  // UNPROVEN: AN2662 section 4.5.4 names no condition for the erase.
  unprotectOfOpenChip: 'mass-erase',
  // UNPROVEN: C071 ends in dfuERROR (LibUsbDfu#13), AN2662 section 4.4.1 presumes 0x08000000.
  leaveWithoutAddress: 'error',
  // UNPROVEN (section 9.4): nobody has timed it; long enough to be seen on the bus as if it had stayed.
  leaveDelayMs: 300,
  // F446 "might get stuck in DFU mode, so power cycle" (stored public file 45513733001, low): a fault to
  // switch on, since every other report has it leave.
  stuckOnLeave: false,
  // Only H743 rev V, sector 8 and above, which the H723 does not have (real-silicon.md section 3).
  lastingBusy: 'off',
} as const satisfies Partial<RomSettings>;

const KIND = {
  blockStride: 'transfer-size',
  claimsLargestFlash: false,
  beyondFlash: 'silent',
  systemInfo: 'readable',
  otherAlts: 'readable',
  setAddressWhenProtected: 'accepted',
  eraseBadAddress: 'errADDRESS',
  flashErrors: 'reported',
  uploadPastEnd: 'short',
  eccRead: 'garbage',
  lastWord: 'padded',
  eraseMovesPointer: false,
  unprotectOfOpenChip: 'nothing',
  leaveWithoutAddress: 'flash-base',
  leaveDelayMs: 0,
  // Both disagree between sources, so both have another reading for every chip.
  clrStatusOutsideError: 'accepted',
  heldRequest: 'none',
} as const satisfies Partial<RomSettings>;

const F4: RomSettings = {
  ...UNKIND,
  // real-silicon.md section 1, high. A few F407/F429 logs show dfuIDLE, probably second sessions.
  coldStart: 'error-firmware',
  // UNPROVEN for these parts (section 9.1): 100/104 are from another F4, F745 and GD32VF103 (high there).
  pollTimeouts: { eraseMs: 100, massEraseMs: 100, setAddressMs: 104, writeMs: 104 },
  // Seen on F745: "held about 250 ms" (fwupd#2696).
  heldRequest: 'second-getstatus',
  // UNPROVEN: sources disagree (section 3); C562 stalls on hardware.
  clrStatusOutsideError: 'stall',
  serialAddend: 0,
  massEraseEnd: 'ok',
  readBeforeWrite: 'off',
  // F446, F401, F411, F745 (section 4, high).
  leave: 'manifest',
};

const F4_PARTS = {
  // Its string tells the truth: stored public file 14966650074.
  stm32f446xx: { claimsLargestFlash: false },
  // UNPROVEN (section 9.13): F412/F413 add 0x0A, for F429 nobody knows.
  stm32f429xx: { serialAddend: 0x0a },
  // F405, the same die, adds nothing (ODrive#82); errUNKNOWN: dfu-util b0feb54, medium.
  stm32f407xx: { massEraseEnd: 'errUNKNOWN' },
} as const satisfies Record<Exclude<McuName, 'stm32h723xx'>, Partial<RomSettings>>;

const F4_KIND = {
  stm32f446xx: {},
  // A few F407/F429 logs show 2/0 at once (section 1, disagreement).
  stm32f429xx: { coldStart: 'idle', serialAddend: 0 },
  stm32f407xx: { coldStart: 'idle', massEraseEnd: 'ok' },
} as const satisfies Record<Exclude<McuName, 'stm32h723xx'>, Partial<RomSettings>>;

const H7: RomSettings = {
  ...UNKIND,
  // Manta-M8P#112 (H723), high.
  coldStart: 'idle',
  // UNPROVEN (section 9.2): 1000 is H743's erase. H723 says "not 100" for a mass erase. Set-address and
  // write are taken from F4, the longest value seen anywhere for them.
  pollTimeouts: { eraseMs: 1000, massEraseMs: 1000, setAddressMs: 104, writeMs: 104 },
  // UNPROVEN (section 2, open question): H743 says dfuDNBUSY only 903 ms after the DNLOAD.
  heldRequest: 'first-getstatus',
  // H743 in dfuDNBUSY: 14/10, then 0/2. G4 in dfuIDLE: the next download fails, which fits. UNPROVEN on H723.
  clrStatusOutsideError: 'error-unknown',
  // H725, taken as the same die, adds nothing (panda dfu.py@0645c57).
  serialAddend: 0,
  massEraseEnd: 'ok',
  // UNPROVEN over USB and across an erase: seen on H723 over UART (td-p/622483), where ST's cure is to
  // write 32 bytes twice.
  readBeforeWrite: 'lasting',
  // H723: GETSTATUS fails (67118033379, high). UNPROVEN whether it stalls or is gone (section 9.4).
  leave: 'stall-getstatus',
};

const H7_KIND = {
  // Fact on H723, not a reading.
  claimsLargestFlash: true,
  pollTimeouts: { eraseMs: 1000, massEraseMs: 1000, setAddressMs: 1, writeMs: 1 },
  readBeforeWrite: 'off',
  leave: 'at-dnload',
} as const satisfies Partial<RomSettings>;
