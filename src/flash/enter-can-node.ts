// Route `can-request` to a node on CAN: it is asked for its bootloader, and the Katapult that comes gets an id.
import type { CanArrival } from './arrival.ts';
import { enterKatapultOnCan } from './can-node.ts';
import type { Kit } from './kit.ts';
import type { CanPlace } from './place.ts';

/** Throws what `enterKatapultOnCan` throws. */
export async function enterNodeByRequest(
  kit: Pick<Kit, 'can' | 'clock'>,
  node: CanPlace,
  signal?: AbortSignal,
): Promise<CanArrival> {
  const { channel, ranBefore } = await enterKatapultOnCan(kit, node, signal);
  return { kind: 'katapult-can', node, channel, ranBefore };
}
