// What was learnt about a board and is worth keeping: where it is plugged in, how fast it comes, who it is.
import { array, boolean, enums, nullable, number, object, optional, string, type Infer } from 'superstruct';
import type { Resident } from '../firmware/passport.ts';
import { seal, unseal } from '../kept.ts';
import type { Kit } from './kit.ts';

const Memory = object({
  /** Bus path where it was last proven to be, by its own reset wire. */
  busPath: optional(string()),
  /** From releasing reset to the ROM seen on USB, ms, the longest seen. */
  romAppearsMs: optional(number()),
  /** From releasing reset to the application seen on USB, ms, the longest seen. */
  applicationAppearsMs: optional(number()),
  /** The shortest reset pulse that was seen to reset it, ms. */
  resetHoldMs: optional(number()),
  /** Between the two pulses that brought Katapult, from the release of the first, ms. */
  doubleResetGapMs: optional(number()),
  /** What lay at the flash's start when it was last read or written: a Katapult that talks USB, or anything else. */
  bootloader: optional(enums(['katapult', 'other'])),
  /** How often it stopped answering when its option bytes were read. */
  optionBytesHangs: optional(number()),
  /** The chip's unique id in hex. */
  chipUid: optional(nullable(string())),
  /** Who told it: the ROM, or the firmware's serial on USB; `src/flash/identity-card.ts`. */
  chipUidFrom: optional(enums(['rom', 'usb'])),
  /** The last flash that ended well. */
  lastFlash: optional(
    object({
      date: string(),
      version: nullable(string()),
      /** Of the bytes that went into flash from linkAddress on. */
      sha256: string(),
      sizeBytes: optional(number()),
      linkAddress: number(),
      kind: string(),
      tookMs: number(),
      /** The copy of what it replaced. */
      backup: optional(nullable(string())),
    }),
  ),
  /** The application that ran before the last flash that has replaced one. */
  lastGood: optional(
    object({
      /** The copy that holds it. */
      backup: string(),
      /** Whether the bootloader before it was replaced together with it. */
      withBootloader: boolean(),
    }),
  ),
  notes: optional(array(string())),
});
export type BoardMemory = Infer<typeof Memory>;

const keyOf = (board: string) => `boards/${board}.json`;

/** Empty for a board that was never seen, and for a file that cannot be read: what is forgotten is measured again. */
export async function recall(kit: Pick<Kit, 'store'>, board: string): Promise<BoardMemory> {
  const bytes = await kit.store.read(keyOf(board));
  return (bytes === undefined ? undefined : unseal(bytes, Memory)) ?? {};
}

export async function remember(kit: Pick<Kit, 'store'>, board: string, news: BoardMemory): Promise<void> {
  const whole = { ...(await recall(kit, board)), ...news };
  await kit.store.write(keyOf(board), seal(whole));
}

/** First contact waits up to 10 s (a big reset capacitor rises slowly); later 3 times what was measured, from 2 s to 30 s. */
export function appearTimeoutMs(measuredMs: number | undefined): number {
  return measuredMs === undefined ? 10_000 : Math.min(Math.max(2_000, 3 * measuredMs), 30_000);
}

/** Of what lies at the flash's start now. A Katapult that talks CAN is nothing that a visit over USB can use. */
export function bootloaderMemory({
  kind,
  transport,
}: Pick<Resident, 'kind' | 'transport'>): Required<Pick<BoardMemory, 'bootloader'>> {
  return { bootloader: kind === 'katapult' && transport !== 'can' ? 'katapult' : 'other' };
}
