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
  /** First state after entry: F4 dfuERROR/errFIRMWARE, H7 dfuIDLE (real-silicon.md section 1). */
  readonly coldStart: 'error-firmware' | 'idle';
  readonly pollTimeouts: PollTimeouts;
  /** The control transfer that the chip holds while flash works; `none` answers dfuDNBUSY until done. */
  readonly heldRequest: 'dnload' | 'first-getstatus' | 'second-getstatus' | 'none';
  /** What "wTransferSize" is in the address of block n: the length of this very block, or the constant. */
  readonly blockStride: 'own-length' | 'transfer-size';
  /** What happens to CLRSTATUS outside dfuERROR; `error-unknown` is ACK and then dfuERROR/errUNKNOWN. */
  readonly clrStatusOutsideError: 'stall' | 'error-unknown' | 'accepted';
  /** Added to the low word of the serial number. */
  readonly serialAddend: 0 | 0x0a;
  /** Whether the memory string promises the largest part of the family instead of this one. */
  readonly claimsLargestFlash: boolean;
  /** Addresses that the memory string promises and this chip does not have. */
  readonly beyondFlash: 'refused' | 'silent';
  /** UID and flash size register. */
  readonly systemInfo: 'refused' | 'readable';
  /** Device Feature, option bytes, OTP. */
  readonly otherAlts: 'refused' | 'readable';
  /** bStatus of an erase outside flash. */
  readonly eraseBadAddress: 'errADDRESS' | 'errTARGET';
  /** Erase or write of a write-protected sector: done by name only, or answered with errERASE/errWRITE. */
  readonly protectedSector: 'silent' | 'reported';
  /** UPLOAD that runs past the end of a memory. */
  readonly uploadPastEnd: 'stall' | 'short';
  /** What a DNLOAD block not a multiple of the H7's 32-byte word leaves of its last word. */
  readonly lastWord: 'garbage' | 'lost' | 'padded';
  /** Whether erasing a sector also moves the address pointer there. */
  readonly eraseMovesPointer: boolean;
  /** Read-unprotect on a chip that is not protected. */
  readonly unprotectOfOpenChip: 'mass-erase' | 'nothing';
  /** How a finished mass erase is answered. */
  readonly massEraseEnd: 'ok' | 'errUNKNOWN';
  /** H7: after an UPLOAD of flash the first 32 bytes of the next write stay 0xFF. */
  readonly readBeforeWrite: 'off' | 'healed-by-erase' | 'lasting';
  /** H743 rev V, sectors of bank 2: dfuDNBUSY for ever after an erase that did work. */
  readonly lastingBusy: 'off' | 'after-erase';
  /** How the ROM leaves: F4 says dfuMANIFEST; H7 stalls that GETSTATUS, or is gone since the DNLOAD. */
  readonly leave: 'manifest' | 'stall-getstatus' | 'at-dnload';
  /** Zero-length DNLOAD without a SET_ADDRESS before it. */
  readonly leaveWithoutAddress: 'error' | 'flash-base';
  /** Between the last answer and the disconnect. */
  readonly leaveDelayMs: number;
  /** Says dfuMANIFEST and never leaves. */
  readonly stuckOnLeave: boolean;
}

export function defaultRomSettings(mcu: McuName): RomSettings {
  const h7 = mcu === 'stm32h723xx';
  return {
    coldStart: h7 ? 'idle' : 'error-firmware',
    pollTimeouts: h7
      ? { eraseMs: 1000, massEraseMs: 1000, setAddressMs: 104, writeMs: 104 }
      : { eraseMs: 100, massEraseMs: 100, setAddressMs: 104, writeMs: 104 },
    heldRequest: h7 ? 'first-getstatus' : 'second-getstatus',
    blockStride: 'own-length',
    clrStatusOutsideError: h7 ? 'error-unknown' : 'stall',
    serialAddend: mcu === 'stm32f429xx' ? 0x0a : 0,
    claimsLargestFlash: true,
    beyondFlash: 'refused',
    systemInfo: 'refused',
    otherAlts: 'refused',
    eraseBadAddress: 'errADDRESS',
    protectedSector: 'silent',
    uploadPastEnd: 'stall',
    lastWord: 'garbage',
    eraseMovesPointer: true,
    unprotectOfOpenChip: 'mass-erase',
    massEraseEnd: mcu === 'stm32f407xx' ? 'errUNKNOWN' : 'ok',
    readBeforeWrite: h7 ? 'lasting' : 'off',
    lastingBusy: 'off',
    leave: h7 ? 'stall-getstatus' : 'manifest',
    leaveWithoutAddress: 'error',
    leaveDelayMs: 300,
    stuckOnLeave: false,
  };
}

export function kindRomSettings(mcu: McuName): RomSettings {
  return defaultRomSettings(mcu);
}
