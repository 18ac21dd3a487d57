// A board where it is: what it is, how it is wired, and by what it is known on USB and on CAN.
import type { Board } from '../boards/types.ts';
import type { LinePins } from '../ports/gpio.ts';
import type { Confirmation } from './gate.ts';
import type { HeaterSafety } from './heaters.ts';

/** A node on a CAN bus: Linux's name of the interface, and the uuid in 12 lower-case hex digits. */
export interface CanPlace {
  readonly interfaceName: string;
  readonly uuid: string;
}

export interface BoardPlace {
  readonly board: Board;
  /** Undefined: no wires from this host to the board. */
  readonly pins: LinePins | undefined;
  readonly heaters: HeaterSafety;
  /** Its section in printer.cfg: `mcu` (which it is where nothing else is said), `mcu ebb`. */
  readonly section?: string | undefined;
  /** How its owner knows it on USB: a path below /dev/serial, or the port that it is plugged into. */
  readonly serial?: string | undefined;
  readonly busPath?: string | undefined;
  /** Where a CAN node is; a uuid that is not given stands in printer.cfg under `section`. */
  readonly can?: { readonly interfaceName: string; readonly uuid: string | undefined } | undefined;
  /** The ways in that its owner wants, in that order; else those of the board's data. */
  readonly routes?: Board['routes'] | undefined;
  /** So many of the newest copies of its flash stay. */
  readonly keepBackups?: number | undefined;
}

/** What a walk is asked for: where, and what the caller vouches for. */
export interface VisitOrder {
  readonly place: BoardPlace;
  readonly confirm: readonly Confirmation[];
}

/** The same for what only the lines can do. */
export interface WiredOrder extends VisitOrder {
  readonly place: BoardPlace & { readonly pins: LinePins };
}
