// One pulse on the reset wire, and a look at what comes back: octopus.reset.
import { appearTimeoutMs, recall, remember } from './board-memory.ts';
import { learnChipId } from './identity-card.ts';
import { pulseReset } from './reset-pulse.ts';
import { withLines } from './lines.ts';
import type { Report } from './report.ts';
import { watched } from './stopwatch.ts';
import type { WiredOrder } from './place.ts';
import { passGate, withKlipperStopped } from './klipper-stopped.ts';
import type { VisitKit } from './stay.ts';
import { usbKind, waitForUsb, type UsbKind } from './watch-usb.ts';

export interface ResetSeen {
  /** Where the board is plugged in; null when nothing left the bus. */
  readonly busPath: string | null;
  /** What came back there. */
  readonly seen: UsbKind | null;
  readonly notes: readonly string[];
}

export async function reset(
  kit: VisitKit,
  order: WiredOrder,
  report: Report,
  signal?: AbortSignal,
): Promise<ResetSeen> {
  return watched(kit.clock, report, async (watch) => {
    await passGate(kit, order.confirm, watch);
    const { board, pins } = order.place;
    return await withKlipperStopped(kit, order, watch, signal, () =>
      withLines(kit, pins, async (lines) => {
        const memory = await recall(kit, board.name);
        watch.begin('boot');
        const left = await pulseReset(kit, lines, signal);
        watch.begin('confirm');
        const back = await waitForUsb(
          kit,
          (now) =>
            now.find(
              (device) => usbKind(device) !== undefined && left.some((old) => old.busPath === device.busPath),
            ),
          left.length === 0 ? 0 : appearTimeoutMs(memory.applicationAppearsMs),
          signal,
        );
        if (left.length === 0)
          watch.note(
            'Nothing left the USB bus during the reset: the board is not on USB, or the reset wire does not reach it.',
          );
        const [only, ...others] = left;
        if (only !== undefined && others.length === 0) {
          const { news, note } = learnChipId(memory, { usb: only });
          await remember(kit, board.name, { busPath: only.busPath, ...news });
          if (note !== undefined) watch.note(note);
        }
        return {
          busPath: back?.busPath ?? left[0]?.busPath ?? null,
          seen: (back && usbKind(back)) ?? null,
          notes: watch.notes,
        };
      }),
    );
  });
}
