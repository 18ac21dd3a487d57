// What the owner of a board without wires is asked to do at the printer, and when nothing is left to be done there.
import type { Stopwatch } from './stopwatch.ts';

/** As long as it takes to walk to the printer, to open it, and to find the button on its toolhead. */
export const HAND_MS = 180_000;

/** @param what in the imperative, without a full stop */
export function askOwner(watch: Stopwatch, what: string, more = ''): void {
  watch.note(`By hand now: ${what}. Waiting for it for ${HAND_MS / 60_000} minutes.${more}`);
}

/** A board may come before anybody was there: whoever resets it then would take its bootloader, or its firmware, away. */
export function callOwnerBack(watch: Stopwatch, board: string): void {
  watch.note(`${board} has come: nothing more is to be pressed.`);
}
