// The two wires, under the design's rules: BOOT0 high or floating, NRST low or floating, and floating in every ending.
import { OctopusError } from '../errors.ts';
import type { Boot0Drive, GpioLines, LinePins, NrstDrive } from '../ports/gpio.ts';
import type { Kit } from './kit.ts';

/** Reset is held until the running device has left the bus: at least this, ms. */
export const HOLD_MIN_MS = 100;
/** ... and at most this. */
export const HOLD_MAX_MS = 2_000;
/** What it is held when the board was not on USB, so that no event can tell. */
export const HOLD_UNSEEN_MS = 500;

/** Lines whose changes are on record before they are made. */
export interface BoardLines extends Pick<GpioLines, 'read'> {
  set(levels: { boot0?: Boot0Drive; nrst?: NrstDrive }): Promise<void>;
}

/**
 * Opens both lines (floating from the first moment), runs `work`, and floats them again whatever happens, reading
 * back that they do. Throws `lines-stuck` when a line stays driven.
 */
export async function withLines<T>(
  kit: Pick<Kit, 'gpio' | 'recorder'>,
  pins: LinePins,
  work: (lines: BoardLines) => Promise<T>,
): Promise<T> {
  const lines = await kit.gpio.open(pins);
  try {
    await floatLines(lines);
    const recorded: BoardLines = {
      read: () => lines.read(),
      set: async (levels) => {
        const onRecord = kit.recorder.before({ kind: 'lines', levels });
        // The way into the ROM waits for the record; the way out is taken even when the disk is full.
        await (levels.boot0 === 'high' ? onRecord : onRecord.catch(() => {}));
        await lines.set(levels);
      },
    };
    return await work(recorded);
  } finally {
    try {
      await floatLines(lines);
    } finally {
      await lines.close();
    }
  }
}

async function floatLines(lines: GpioLines): Promise<void> {
  await lines.set({ boot0: 'floating', nrst: 'floating' });
  const { driven } = await lines.read();
  if (driven) {
    throw new OctopusError('lines-stuck', 'BOOT0 or reset is still driven after it was set to floating', {
      advice:
        'Run octopus lines-release; if that does not help, restart the host: the board stays in reset or DFU until then.',
    });
  }
}
