// Moonraker, time: things that happen later unless they are called off, through the Clock port.
import type { Clock } from '../ports/clock.ts';

/** Does `action` in `ms` milliseconds; the returned function calls it off. */
export function later(clock: Clock, ms: number, action: () => void): () => void {
  const abort = new AbortController();
  void (async () => {
    try {
      await clock.sleep(ms, abort.signal);
    } catch {
      return;
    }
    action();
  })();
  return () => abort.abort();
}

/** Waits at most `ms`, less when the function given to `listen` is called first. `listen` returns its own undoing. */
export async function waitFor(
  clock: Clock,
  ms: number,
  listen: (wake: () => void) => () => void,
): Promise<void> {
  const abort = new AbortController();
  const off = listen(() => abort.abort());
  try {
    await clock.sleep(ms, abort.signal);
  } catch (error) {
    if (!abort.signal.aborted) throw error;
  } finally {
    off();
  }
}
