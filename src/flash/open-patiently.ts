// A device that has just enumerated may not be openable yet: udev sets its permissions a moment later, and there is
// no event for that (real-silicon.md 6 "race"; dfu-util's first run fails where the second works).
import { OctopusError } from '../errors.ts';
import type { Kit } from './kit.ts';

const OPEN_FOR_MS = 2_000;
const OPEN_AGAIN_MS = 50;

/** Opens until it works, the device is gone, or `forMs` are over; then throws what the last try said. */
export async function openPatiently<T>(
  kit: Pick<Kit, 'clock'>,
  open: () => Promise<T>,
  forMs = OPEN_FOR_MS,
): Promise<T> {
  const deadline = kit.clock.now() + forMs;
  for (;;) {
    try {
      return await open();
    } catch (error) {
      const final = error instanceof OctopusError && error.code === 'device-gone';
      if (final || kit.clock.now() >= deadline) throw error;
      await kit.clock.sleep(OPEN_AGAIN_MS);
    }
  }
}
