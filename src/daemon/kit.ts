// Daemon, what it works with: the hardware of this host, or with --virtual a virtual board.
import { existsSync } from 'node:fs';
import type { Settings } from '../cli/world.ts';
import { traced } from '../cli/trace.ts';
import { unreachablePrinter, whichPrinter } from '../compose/absent-printer.ts';
import type { PrinterSettings } from '../config/settings.ts';
import { pathsFor } from '../compose/paths.ts';
import { virtualBoards } from '../compose/virtual-boards.ts';
import { DEFAULT_PINS } from '../config/pins.ts';
import type { JobKit } from '../jobs/runner.ts';
import type { Logger } from '../log.ts';
import { modelBoards, type BoardBook } from '../methods/boards.ts';

export interface DaemonKit {
  readonly kit: JobKit;
  readonly boards: BoardBook;
  /** The virtual board has its virtual printer: there is no Moonraker to be asked. */
  readonly hasOwnPrinter: boolean;
  readonly dispose: () => Promise<void>;
}

/** Throws `unknown-board`, `busy`, `bad-parameter`. */
export async function openDaemonKit(
  settings: Settings,
  {
    boards,
    printers,
  }: { readonly boards: BoardBook | undefined; readonly printers: readonly PrinterSettings[] },
  log: Logger,
): Promise<DaemonKit> {
  const { virtual } = settings;
  if (virtual === undefined) {
    const { hardwareKit, preloadHardware } = await import('../compose/hardware-kit.ts');
    await preloadHardware();
    // Of a request that is about no printer of ours; all others have their agent's.
    const nobody = unreachablePrinter(() => whichPrinter(printers.map(({ name }) => name)));
    return {
      kit: traced(hardwareKit(pathsFor(settings), nobody), log),
      boards: boards ?? modelBoards(DEFAULT_PINS, { heaters: { kind: 'unknown' } }),
      hasOwnPrinter: false,
      dispose: async () => {},
    };
  }
  const { openVirtualKit } = await import('../compose/virtual-kit.ts');
  const { kit, bench, dispose } = await openVirtualKit(settings, virtual);
  const hasOwnPrinter = printers.every(
    ({ moonraker }) => moonraker.kind === 'unix' && !existsSync(moonraker.path),
  );
  if (hasOwnPrinter) log.warn('there is no Moonraker: the virtual board has a virtual printer');
  // A Klipper beside the bench does not hold the virtual board's port; the bench's own must not either.
  else await bench.printer.stopKlipper();
  return { kit: traced(kit, log), boards: boards ?? virtualBoards(virtual), hasOwnPrinter, dispose };
}
