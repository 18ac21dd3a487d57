// Which ways into a bootloader can work for this board now, in the order of its data, and why the others cannot. Pure.
import type { Board } from '../boards/types.ts';
import type { UsbKind } from './watch-usb.ts';

export type Route = Board['routes'][number];

/** What a route ends in; `either` where nobody knows yet which bootloader lies on the board. */
export type LeadsTo = 'rom' | 'katapult' | 'either';

/** What is known of the board before anything is touched. */
export interface Situation {
  readonly hasWires: boolean;
  /** `rom`: what is to be done reaches the flash's start, which Katapult does not write. */
  readonly needs: 'any' | 'rom';
  /** False where heaters may hang on what the ROM drives, and nobody vouched for them. */
  readonly mayEnterRom: boolean;
  /** What runs on it now, as far as it shows itself; undefined: it is not seen, or nobody knows which one it is. */
  readonly runs: UsbKind | 'can-node' | undefined;
  /** Whether it has a tty that a host can touch. */
  readonly hasTty: boolean;
  /** What lay at the flash's start when it was last read; undefined before the first time. */
  readonly bootloader: 'katapult' | 'other' | undefined;
}

export interface Try {
  readonly route: Route;
  readonly leadsTo: LeadsTo;
}

export interface RoutePlan {
  readonly tries: readonly Try[];
  readonly skipped: readonly { readonly route: Route; readonly why: string }[];
}

/** @param routes in the order in which they are to be tried */
export function planRoutes(
  { board, routes }: { readonly board: Board; readonly routes: Board['routes'] },
  situation: Situation,
): RoutePlan {
  const tries: Try[] = [];
  const skipped: { route: Route; why: string }[] = [];
  for (const route of routes) {
    const judged = JUDGES[route](board, situation);
    const verdict =
      typeof judged === 'string' ? judged : (refusal(board, situation, judged.leadsTo) ?? judged);
    if (typeof verdict === 'string') skipped.push({ route, why: verdict });
    else tries.push({ route, ...verdict });
  }
  return { tries, skipped };
}

/** What a route leads to, or why it cannot work. */
type Judge = (board: Board, situation: Situation) => { readonly leadsTo: LeadsTo } | string;

const KATAPULT_BELOW = 'with Katapult on the board no request leads to the ROM';
const BY_WIRE = 'the two wires do the same more surely';

/** facts: klipper-katapult-dfu.md 3, "Entering bootloaders", table (b) and what stands around it. */
const JUDGES: Readonly<Record<Route, Judge>> = {
  'touch-1200': (board, { runs, hasTty, bootloader, hasWires }) => {
    if (runs === 'katapult') return 'Katapult ignores it (its check_reboot is empty)';
    if (runs !== 'klipper' || !hasTty) return 'no Klipper on a USB serial port is known to be this board';
    return bySoftware(board, bootloader, hasWires);
  },
  'can-request': (board, { runs, bootloader, hasWires }) => {
    if (runs === 'can-node') return { leadsTo: 'katapult' };
    if (runs !== 'klipperBridge') return 'it is neither a bridge nor a node on a CAN bus';
    return bySoftware(board, bootloader, hasWires);
  },
  'double-reset': (_board, { hasWires, bootloader, runs }) => {
    if (!hasWires) return 'it has no reset wire';
    if (runs === 'katapult' || bootloader === 'katapult') return { leadsTo: 'katapult' };
    return 'no Katapult is known to lie on it';
  },
  'boot0-nrst': ({ mcu }, { hasWires }) => {
    if (mcu.rom === undefined) return `an ${mcu.name} has no ROM bootloader in DFU mode`;
    return hasWires ? { leadsTo: 'rom' } : 'it has no wires';
  },
  'by-hand': ({ mcu }, { hasWires }) => {
    if (hasWires) return 'it has wires';
    return mcu.rom === undefined ? { leadsTo: 'katapult' } : { leadsTo: 'either' };
  },
};

/** A running Klipper is asked: Katapult below it starts at once, else Klipper itself jumps into the ROM. */
function bySoftware(
  { mcu }: Board,
  bootloader: Situation['bootloader'],
  hasWires: boolean,
): { readonly leadsTo: LeadsTo } | string {
  if (bootloader === 'katapult') return { leadsTo: 'katapult' };
  if (hasWires) return BY_WIRE;
  if (bootloader === undefined && mcu.romBySoftware) return { leadsTo: 'either' };
  if (bootloader === undefined) return { leadsTo: 'katapult' };
  return mcu.romBySoftware ? { leadsTo: 'rom' } : `an ${mcu.name} does not enter its ROM by software`;
}

/** Why a way that works is not gone. */
function refusal(
  { heatersDrivenByRom }: Board,
  { needs, mayEnterRom, bootloader }: Situation,
  leadsTo: LeadsTo,
): string | undefined {
  if (needs === 'rom' && leadsTo === 'katapult')
    return bootloader === 'katapult'
      ? KATAPULT_BELOW
      : 'it leads to Katapult, which does not write over itself';
  if (!mayEnterRom && leadsTo !== 'katapult')
    return `nobody vouches for ${heatersDrivenByRom.join(' and ')}, which the ROM may drive`;
  return undefined;
}
