// Virtual bench, port Locks: one holder per name within this process.

import { OctopusError } from '../errors.ts';
import type { Locks } from '../ports/locks.ts';

export class MemoryLocks implements Locks {
  readonly #held = new Set<string>();

  async acquire(name: string): Promise<() => Promise<void>> {
    await Promise.resolve();
    if (this.#held.has(name)) {
      throw new OctopusError('busy', `another job is at work on ${name}`, {
        advice: 'Wait until it has ended, or cancel it.',
        place: name,
      });
    }
    this.#held.add(name);
    let given = false;
    return async () => {
      await Promise.resolve();
      // Given back twice must not free a later holder's lock.
      if (given) return;
      given = true;
      this.#held.delete(name);
    };
  }

  holds(name: string): boolean {
    return this.#held.has(name);
  }
}
