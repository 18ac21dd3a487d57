// Routes `can-request` and `by-hand` to a node on CAN: it is asked for its bootloader, or its owner is; the Katapult that
// comes gets an id.
import type { CanArrival } from './arrival.ts';
import { enterKatapultOnCan } from './can-node.ts';
import type { Kit } from './kit.ts';
import { askOwner, callOwnerBack, HAND_MS } from './owners-hand.ts';
import type { CanPlace } from './place.ts';
import type { Stopwatch } from './stopwatch.ts';

/** Throws what `enterKatapultOnCan` throws. */
export async function enterNodeByHand(
  kit: Pick<Kit, 'can' | 'clock'>,
  board: string,
  node: CanPlace,
  watch: Stopwatch,
  signal?: AbortSignal,
): Promise<CanArrival> {
  // Nobody is sent to the printer for a bus that is not there.
  await (await kit.can.open(node.interfaceName)).close();
  askOwner(watch, `press the reset button of ${board} twice within half a second`);
  const { channel } = await enterKatapultOnCan(kit, node, signal, HAND_MS);
  callOwnerBack(watch, board);
  return { kind: 'katapult-can', node, channel, ranBefore: false };
}

/** Throws what `enterKatapultOnCan` throws. */
export async function enterNodeByRequest(
  kit: Pick<Kit, 'can' | 'clock'>,
  node: CanPlace,
  signal?: AbortSignal,
): Promise<CanArrival> {
  const { channel, ranBefore } = await enterKatapultOnCan(kit, node, signal);
  return { kind: 'katapult-can', node, channel, ranBefore };
}
