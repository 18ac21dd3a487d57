// The whole flash read and kept, nothing changed: octopus.backup.
import { readBackup, type BackupRecord } from './backup.ts';
import { stateOf } from './boot-without-wires.ts';
import { bootloaderMemory, remember } from './board-memory.ts';
import { refuseRomAgain } from './confirm.ts';
import { keepWhole } from './look.ts';
import type { BackupOutcome, Report, Timings } from './report.ts';
import { watched } from './stopwatch.ts';
import type { VisitOrder } from './place.ts';
import { passGate } from './klipper-stopped.ts';
import type { VisitKit } from './stay.ts';
import { visitBootloader } from './visit.ts';
import { findWayIn } from './way-in.ts';

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
    const way = await findWayIn(kit, order, 'any', watch);
    watch.onBoard = 'The board was not changed.';
    const backup = await visitBootloader(
      kit,
      order,
      way,
      watch,
      signal,
      async (chip, visit) => {
        watch.begin('backup');
        const { kept, atBase, application } = await keepWhole(kit, chip, board, visit.torn, watch);
        visit.application = () => stateOf({ atBase, application });
        await remember(kit, board.name, bootloaderMemory(atBase));
        return kept;
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
