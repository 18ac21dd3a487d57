// What a walk tells while it goes, and what it ends with.
import type { Passport } from '../firmware/passport.ts';
import type { PrinterVerdict } from '../ports/printer.ts';

/** In the order of a flash. */
export const PHASES = [
  'preflight',
  'stop',
  'enter',
  'backup',
  'erase',
  'write',
  'verify',
  'boot',
  'confirm',
  'printer',
] as const;
/** `look`: read only, nothing kept. */
export type Phase = (typeof PHASES)[number] | 'look';

export type FlashEvent =
  /** Before anything is touched: what will happen, in one line, and how long it should take. */
  | { readonly kind: 'plan'; readonly text: string; readonly expectMs: number }
  | { readonly kind: 'phase'; readonly phase: Phase }
  /** Bytes of the running phase; `totalBytes` never changes within it. */
  | {
      readonly kind: 'progress';
      readonly phase: Phase;
      readonly doneBytes: number;
      readonly totalBytes: number;
    }
  | { readonly kind: 'note'; readonly text: string };
export type Report = (event: FlashEvent) => void;

export type Timings = Readonly<Partial<Record<Phase | 'total', number>>>;

/** How a backup stands: newly kept, or already kept with the same content. */
export interface BackupOutcome {
  readonly id: string;
  readonly what: 'whole' | 'region';
  readonly alreadyKept: boolean;
}

export interface FlashResult {
  readonly state: 'done' | 'planned';
  readonly board: string;
  readonly image: Passport;
  readonly verified: boolean;
  readonly bytesWritten: number;
  readonly sectorsErased: number;
  /** The version that lay where this image now lies; null when nothing recognisable did. */
  readonly previousVersion: string | null;
  /** The same in words, for firmware that carries no version; null in a plan. */
  readonly previous: string | null;
  readonly version: string | null;
  /** What is known to lie at the start of the flash: the bootloader, or the firmware itself. */
  readonly bootloader: string | null;
  readonly backup: BackupOutcome | null;
  /** What was seen after the boot. */
  readonly boot: string | null;
  readonly printer: PrinterVerdict['state'] | null;
  readonly printerReason?: string;
  readonly notes: readonly string[];
  readonly expectMs: number;
  /** Milliseconds by phase. */
  readonly timings: Timings;
}
