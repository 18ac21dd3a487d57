// What a flash needs from whatever bootloader answers: the ROM's DfuSe, or Katapult.
import type { PlanSector, WritePlan } from '../firmware/plan.ts';

export interface ChipIdentity {
  /** As the board file names it. */
  readonly mcu: string;
  /** Where it answers: the USB bus path, or the name of the CAN node. */
  readonly busPath: string;
  /** The chip's unique id, 24 hex digits; null where the bootloader does not let it be read. */
  readonly uid: string | null;
  /** The smaller of what the bootloader claims and the size register says, bytes. */
  readonly flashSizeBytes: number;
  /** The largest block of one transfer, bytes. */
  readonly transferSizeBytes: number;
  /** Where the bootloader launches the application; null where it launches nothing by itself (the ROM). */
  readonly launchAddress: number | null;
  /** The bootloader's own version, where it has one. */
  readonly version: string | null;
}

export interface WriteHooks {
  erasing(doneBytes: number, totalBytes: number): void;
  writing(doneBytes: number, totalBytes: number): void;
  /** A sector was erased, as the ROM says; what this throws ends the write. Not asked where a write erases (Katapult). */
  erased?(sector: PlanSector): Promise<void>;
}

export interface Bootloader {
  readonly kind: 'rom' | 'katapult';
  readonly identity: ChipIdentity;
  /** Throws `dfu-status`, `read-protected`, `device-gone`, `flash-unreadable`, `katapult-wedged`. */
  read(address: number, length: number, onBytes?: (done: number) => void): Promise<Uint8Array>;
  /** Erases and programs in the plan's order; each step is on record before it is done. */
  write(plan: WritePlan, hooks: WriteHooks): Promise<void>;
  /**
   * Leaves the bootloader and starts what lies at `address`, sound or not: the caller has looked. Whether it runs is seen
   * only by what comes to the bus. The device is gone afterwards; `close` it all the same.
   * Throws `wrong-address` where this bootloader starts something else, and what the bootloader refuses.
   */
  boot(address: number): Promise<void>;
  /**
   * Erases the whole chip, which ends its read protection. `silent`: it answers no more, and resets itself when it is done.
   * Only a ROM can do it.
   */
  readonly removeReadProtection?: () => Promise<'done' | 'silent'>;
  close(): Promise<void>;
}

/** The same bootloader, of which more is known. */
export function withIdentity(chip: Bootloader, identity: ChipIdentity): Bootloader {
  return {
    ...onlyOfRom(chip),
    kind: chip.kind,
    identity,
    read: (address, length, onBytes) => chip.read(address, length, onBytes),
    write: (plan, hooks) => chip.write(plan, hooks),
    boot: (address) => chip.boot(address),
    close: () => chip.close(),
  };
}

/** What not every bootloader has, for one that stands before `chip`. */
export function onlyOfRom({
  removeReadProtection: remove,
}: Bootloader): Pick<Bootloader, 'removeReadProtection'> {
  return remove === undefined ? {} : { removeReadProtection: remove };
}
