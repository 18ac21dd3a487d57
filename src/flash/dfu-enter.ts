// Holds the board in its ROM for other tools, and lets it go again by itself: octopus.dfu_enter.
import { refuseRomAgain } from './confirm.ts';
import type { Confirmation } from './gate.ts';
import type { Report } from './report.ts';
import { watched } from './stopwatch.ts';
import { passGate, visitBootloader, type BoardPlace, type VisitKit } from './visit.ts';

export interface DfuVisit {
  readonly busPath: string;
  readonly uid: string | null;
  readonly flashSizeBytes: number;
  readonly transferSizeBytes: number;
  /** Why the board was let go: the time was over, or somebody asked. */
  readonly leftBecause: 'time' | 'asked';
}

/**
 * @param order.holdMs how long the board stays in DFU mode; it is let go at the end, and when `signal` is aborted
 */
export async function dfuEnter(
  kit: VisitKit,
  order: { readonly place: BoardPlace; readonly confirm: readonly Confirmation[]; readonly holdMs: number },
  report: Report,
  signal?: AbortSignal,
): Promise<DfuVisit> {
  return watched(kit.clock, report, async (watch) => {
    await passGate(kit, order.confirm, watch);
    watch.onBoard = 'The board was not changed.';
    return await visitBootloader(
      kit,
      order.place,
      watch,
      signal,
      async (chip) => {
        const { busPath, uid, flashSizeBytes, transferSizeBytes } = chip.identity;
        // Closed at once, so that dfu-util or CubeProgrammer can have it.
        await chip.close();
        watch.note(`In DFU mode at USB ${busPath} for ${order.holdMs / 1000} s.`);
        let leftBecause: DfuVisit['leftBecause'] = 'time';
        await kit.clock.sleep(order.holdMs, signal).catch(() => {
          leftBecause = 'asked';
        });
        return { busPath, uid, flashSizeBytes, transferSizeBytes, leftBecause };
      },
      async (visit, seat) => {
        watch.begin('confirm');
        await refuseRomAgain(kit, order.place.board.name, seat);
        return visit;
      },
    );
  });
}
