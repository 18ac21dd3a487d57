// What a flash needs from whatever bootloader answers: DfuSe today, Katapult beside it.
import type { WritePlan } from '../firmware/plan.ts';

export interface ChipIdentity {
  /** As the board file names it. */
  readonly mcu: string;
  readonly busPath: string;
  /** The chip's unique id, 24 hex digits; null where the bootloader does not let it be read. */
  readonly uid: string | null;
  /** The smaller of what the bootloader claims and the size register says, bytes. */
  readonly flashSizeBytes: number;
  /** The largest block of one transfer, bytes. */
  readonly transferSizeBytes: number;
}

export interface WriteHooks {
  erasing(doneBytes: number, totalBytes: number): void;
  writing(doneBytes: number, totalBytes: number): void;
}

export interface Bootloader {
  readonly identity: ChipIdentity;
  /** Throws `dfu-status`, `read-protected`, `device-gone`. */
  read(address: number, length: number, onBytes?: (done: number) => void): Promise<Uint8Array>;
  /** Erases and programs in the plan's order; each step is on record before it is done. */
  write(plan: WritePlan, hooks: WriteHooks): Promise<void>;
  close(): Promise<void>;
}
