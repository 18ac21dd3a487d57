// Both lines floating, read back: the daemon's first act at start, and what systemd runs after it died.
import type { LinePins } from '../ports/gpio.ts';
import type { Kit } from './kit.ts';
import { withLines } from './lines.ts';

/** Throws `lines-stuck` when a line stays driven. */
export async function releaseLines(kit: Pick<Kit, 'gpio' | 'recorder'>, pins: LinePins): Promise<void> {
  await withLines(kit, pins, async () => {});
}
