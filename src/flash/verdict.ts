// The board's verdict, wherever it shows itself: on USB, on CAN, and as a bridge on both.
import type { Board } from '../boards/types.ts';
import { asOctopusError } from '../errors.ts';
import { askForColdStart } from './cold-start.ts';
import { confirmBoot } from './confirm.ts';
import { confirmBridge, confirmNode } from './confirm-node.ts';
import type { ExpectedBoot } from './expected-boot.ts';
import type { Kit } from './kit.ts';
import type { Stopwatch } from './stopwatch.ts';
import type { Seat } from './visit.ts';

/** Throws `no-boot`, `wrong-device`, `wrong-version`. Returns what was seen, in words. */
export async function confirm(
  kit: Pick<Kit, 'can' | 'clock' | 'serial' | 'store' | 'usb'>,
  { name }: Board,
  seat: Seat,
  expected: ExpectedBoot,
  watch: Stopwatch,
): Promise<string> {
  if (seat.node !== undefined) return confirmNode(kit, seat.node, expected.version);
  const seen = await confirmBoot(kit, name, seat, expected);
  if (!seat.wasReset && seat.busPath !== '') await askForColdStart(kit, name, seat, expected, watch);
  if (expected.usb !== 'klipperBridge') return seen;
  // Its interface may be down, or named otherwise: that is no fault of the board, and the printer's verdict follows.
  return confirmBridge(kit, seat.busPath, expected.version).catch((thrown: unknown) => {
    const error = asOctopusError(thrown);
    if (error.code === 'wrong-version') throw error;
    watch.note(`The bridge was not asked for its version: ${error.message}.`);
    return seen;
  });
}
