// Gets the board into a bootloader: the ways that can work for it, in turn, each ended by an event or its own time-out.
// Ask the Klipper that runs, drive the lines, ask the user.
import { OctopusError } from '../errors.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import type { Arrival } from './arrival.ts';
import { recall, remember, type BoardMemory } from './board-memory.ts';
import { enterByHand } from './enter-by-hand.ts';
import { enterBridgeByRequest, enterByTouch } from './enter-by-request.ts';
import { enterNodeByHand, enterNodeByRequest } from './enter-can-node.ts';
import { enterKatapultByWire } from './enter-katapult-by-wire.ts';
import { enterRomByWire } from './enter-rom-by-wire.ts';
import type { Kit } from './kit.ts';
import type { BoardLines } from './lines.ts';
import type { BoardPlace, CanPlace } from './place.ts';
import type { LeadsTo, Route, RoutePlan, Try } from './routes.ts';
import type { Stopwatch } from './stopwatch.ts';

export type EnterKit = Pick<Kit, 'can' | 'clock' | 'serial' | 'store' | 'usb'>;

/** Before the door: what every way in may need. */
export interface Threshold {
  readonly place: BoardPlace;
  readonly plan: RoutePlan;
  /** Undefined without wires. */
  readonly lines: BoardLines | undefined;
  /** The board as it shows itself on USB. */
  readonly seen: UsbDeviceInfo | undefined;
  /** The board as a node on CAN. */
  readonly node: CanPlace | undefined;
  readonly watch: Stopwatch;
}

/** Whose interface a bridge is, where nobody says another (Klipper's default of `canbus_interface`). */
const BRIDGE_INTERFACE = 'can0';

/** A way that ends so may be another's chance; whatever else happens ends the walk. */
const NEXT_AFTER = new Set(['no-device', 'no-hardware', 'busy', 'device-came-elsewhere', 'device-gone']);

/** Throws what the last way throws; what the others met is noted. Throws `no-device` where no way can work. */
export async function enterBootloader(
  kit: EnterKit,
  threshold: Threshold,
  signal?: AbortSignal,
): Promise<Arrival> {
  const { place, plan, watch } = threshold;
  for (const [index, one] of plan.tries.entries()) {
    const memory = await recall(kit, place.board.name);
    try {
      return await WAYS[one.route](kit, { ...threshold, memory, leadsTo: one.leadsTo }, signal);
    } catch (error) {
      const isLast = index === plan.tries.length - 1;
      if (isLast || !(error instanceof OctopusError) || !NEXT_AFTER.has(error.code)) throw error;
      watch.note(
        `By ${one.route} it did not come: ${error.message}. Now by ${plan.tries[index + 1]?.route}.`,
      );
    }
  }
  throw noWay(place, plan);
}

interface Door extends Threshold {
  readonly memory: BoardMemory;
  readonly leadsTo: LeadsTo;
}
type Way = (kit: EnterKit, door: Door, signal?: AbortSignal) => Promise<Arrival>;

const WAYS: Readonly<Record<Route, Way>> = {
  'touch-1200': (kit, { seen, lines }, signal) => enterByTouch(kit, required(seen), onceAsked(lines, signal)),
  'can-request': (kit, { seen, node, place, lines }, signal) => {
    const interfaceName = place.can?.interfaceName ?? BRIDGE_INTERFACE;
    return node === undefined
      ? enterBridgeByRequest(kit, required(seen), interfaceName, onceAsked(lines, signal))
      : enterNodeByRequest(kit, node, onceAsked(lines, signal));
  },
  'double-reset': async (kit, { lines, memory, place }, signal) => {
    const { gapMs, ...arrival } = await enterKatapultByWire(kit, required(lines), memory, signal);
    await remember(kit, place.board.name, { doubleResetGapMs: gapMs }).catch(() => {});
    return arrival;
  },
  'boot0-nrst': async (kit, { lines, memory }, signal) => ({
    kind: 'rom',
    ...(await enterRomByWire(kit, required(lines), memory, signal)),
  }),
  'by-hand': (kit, { place, memory, node, leadsTo, watch }, signal) =>
    node === undefined
      ? enterByHand(kit, place.board, memory.busPath ?? place.busPath, leadsTo, watch, signal)
      : enterNodeByHand(kit, place.board.name, node, watch, signal),
};

/** Only a bootloader that has come can be left by its word: without a reset wire a request is seen to its end. */
function onceAsked(lines: BoardLines | undefined, signal?: AbortSignal): AbortSignal | undefined {
  signal?.throwIfAborted();
  return lines === undefined ? undefined : signal;
}

/** What the plan of routes has made sure of. */
function required<T>(value: T | undefined): T {
  if (value === undefined) throw new TypeError('a route without what it needs was tried');
  return value;
}

/** The reset wire proves a board and brings it back from anything: after Katapult hung, only such a way helps. */
export function byWire({ tries }: RoutePlan): readonly Try[] {
  return tries.filter(({ route }) => route === 'double-reset' || route === 'boot0-nrst');
}

export function noWay({ board, can }: BoardPlace, { skipped }: RoutePlan): OctopusError {
  const why = skipped.map((one) => `${one.route}: ${one.why}`).join('; ');
  return new OctopusError('no-device', `no way leads into the bootloader of ${board.name} (${why})`, {
    place: board.name,
    advice:
      can === undefined
        ? 'Wire BOOT0 and reset (octopus wiring), or name the board in octopus-flasher.conf: serial: or bus_path:.'
        : 'See whether the node answers: octopus canbus-query.',
  });
}
