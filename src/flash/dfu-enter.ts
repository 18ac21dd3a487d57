// Holds the board in its ROM for other tools, and lets it go again by itself: octopus.dfu_enter.
import { refuseRomAgain } from './confirm.ts';
import { OctopusError } from '../errors.ts';
import { DFU_TOTAL_MS } from './dfu-stay.ts';
import { heaterSafety } from './heaters.ts';
import type { Report } from './report.ts';
import { watched } from './stopwatch.ts';
import type { VisitOrder } from './place.ts';
import { passGate } from './klipper-stopped.ts';
import type { VisitKit } from './stay.ts';
import { visitBootloader } from './visit.ts';
import { findWayIn } from './way-in.ts';

export interface DfuVisit {
  readonly busPath: string;
  readonly uid: string | null;
  readonly flashSizeBytes: number;
  readonly transferSizeBytes: number;
  /** Why the board was let go: the time was over, or somebody asked. */
  readonly leftBecause: 'time' | 'asked';
}

/**
 * @param order.holdMs how long the board stays in DFU mode; it is let go at the end, and when `signal` is aborted.
 *   Limited only where nothing but the caller's word keeps the heaters cold.
 * Throws `bad-parameter` when it is longer than that allows, and what entering the bootloader throws.
 */
export async function dfuEnter(
  kit: VisitKit,
  order: VisitOrder & { readonly holdMs: number },
  report: Report,
  signal?: AbortSignal,
): Promise<DfuVisit> {
  return watched(kit.clock, report, async (watch) => {
    const isCapped = heaterSafety(order.place).kind === 'unknown';
    if (isCapped && order.holdMs > DFU_TOTAL_MS) throw holdTooLong(order);
    await passGate(kit, order.confirm, watch);
    const way = await findWayIn(kit, order, 'rom', watch);
    watch.onBoard = 'The board was not changed.';
    return await visitBootloader(
      kit,
      order,
      way,
      watch,
      signal,
      async (chip, { stay }) => {
        const { busPath, uid, flashSizeBytes, transferSizeBytes } = chip.identity;
        // Closed at once, so that dfu-util or CubeProgrammer can have it.
        await chip.close();
        stay.handOver();
        const holdMs = isCapped ? Math.min(order.holdMs, stay.leftMs) : order.holdMs;
        watch.note(`In DFU mode at USB ${busPath} for ${order.holdMs / 1000} s.`);
        let leftBecause: DfuVisit['leftBecause'] = 'time';
        await kit.clock.sleep(holdMs, signal).catch(() => {
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

function holdTooLong({ place, holdMs }: VisitOrder & { readonly holdMs: number }): OctopusError {
  const { board } = place;
  return new OctopusError(
    'bad-parameter',
    `hold_s is ${holdMs / 1000}, and ${board.name} may stay in DFU mode for ${DFU_TOTAL_MS / 1000} s at most: its ROM may drive ${board.heatersDrivenByRom.join(' and ')}`,
    {
      place: 'hold_s',
      advice: `Give hold_s of at most ${DFU_TOTAL_MS / 1000}, or say in host.conf why nothing heats there: unused_heaters under [board ${board.name}], or power_device.`,
    },
  );
}
