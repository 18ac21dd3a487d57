// Virtual bench, faults: what goes wrong with the bytes between a host and a tty of the board, one message at a time.

/**
 * The message never comes (`lost`), comes twice, ends in its middle (`cut`), has a wrong bit in its middle, or comes as
 * other bytes; or the cable is pulled, or the board's power goes, before it. An answer may come late, and what the firmware
 * says after it waits behind it.
 */
export type ByteFault =
  | 'lost'
  | 'doubled'
  | 'cut'
  | 'corrupted'
  | 'unplug'
  | 'power-cut'
  | { readonly lateMs: number }
  | Uint8Array;

/** `out`: what one write() of the host holds. `in`: one answer of the firmware. */
export type ByteDirection = 'out' | 'in';

/** @returns what comes at the other end, message by message */
export function disturbed(
  fault: Exclude<ByteFault, 'unplug' | 'power-cut'> | undefined,
  message: Uint8Array,
): readonly Uint8Array[] {
  const middle = message.length >> 1;
  switch (fault) {
    case undefined:
      return [message];
    case 'lost':
      return [];
    case 'doubled':
      return [message, message];
    case 'cut':
      return [message.slice(0, middle)];
    case 'corrupted':
      return [message.map((byte, at) => (at === middle ? byte ^ 0x04 : byte))];
    default:
      return [fault instanceof Uint8Array ? fault : message];
  }
}
