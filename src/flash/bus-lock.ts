// A CAN bus for oneself: of two at once each would take the other's answers for its own, and two nodes in Katapult would
// have the same id.
import type { Kit } from './kit.ts';
import type { CanPlace } from './place.ts';

export const lockOfBus = (interfaceName: string) => `can:${interfaceName}`;

/** @param node undefined: what is to be done needs no bus. Throws `busy`. */
export async function aloneOnBus<T>(
  kit: Pick<Kit, 'locks'>,
  node: Pick<CanPlace, 'interfaceName'> | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (node === undefined) return work();
  const release = await kit.locks.acquire(lockOfBus(node.interfaceName));
  try {
    return await work();
  } finally {
    await release();
  }
}
