// The whole flash read and kept, nothing changed: octopus.backup.
import { readBackup, type BackupRecord } from './backup.ts';
import { refuseRomAgain } from './confirm.ts';
import { passHeaters } from './heaters.ts';
import { keepWhole } from './look.ts';
import type { BackupOutcome, Report, Timings } from './report.ts';
import { watched } from './stopwatch.ts';
import { passGate, visitBootloader, type VisitKit, type VisitOrder } from './visit.ts';

export interface BackupTaken {
  readonly backup: BackupOutcome;
  readonly record: BackupRecord;
  readonly notes: readonly string[];
  readonly timings: Timings;
}

/** Throws what entering the bootloader throws, `read-protected`, `store-failed`. */
export async function takeBackup(
  kit: VisitKit,
  order: VisitOrder,
  report: Report,
  signal?: AbortSignal,
): Promise<BackupTaken> {
  return watched(kit.clock, report, async (watch) => {
    const { board } = order.place;
    await passGate(kit, order.confirm, watch);
    passHeaters(order.place, order.confirm, watch);
    watch.onBoard = 'The board was not changed.';
    const backup = await visitBootloader(
      kit,
      order,
      watch,
      signal,
      async (chip, torn) => {
        watch.begin('backup');
        return keepWhole(kit, chip, board, torn, watch);
      },
      async (kept, seat) => {
        watch.begin('confirm');
        await refuseRomAgain(kit, board.name, seat);
        return kept;
      },
    );
    const { record } = await readBackup(kit, board.name, backup.id);
    return { backup, record, notes: watch.notes, timings: watch.timings() };
  });
}
