// Klipper stopped around a piece of work, and started again in every ending; the gate is asked before.
import { asOctopusError } from '../errors.ts';
import { ForeignStarts } from './foreign-starts.ts';
import { judgeGate, type Confirmation } from './gate.ts';
import type { Kit } from './kit.ts';
import type { VisitOrder } from './place.ts';
import type { Stopwatch } from './stopwatch.ts';

/** Asks the gate and passes its warnings on, each once. Throws `gate-closed`, `needs-confirmation`. */
export async function passGate(
  kit: Pick<Kit, 'printer'>,
  confirmed: readonly Confirmation[],
  watch: Stopwatch,
): Promise<void> {
  for (const warning of judgeGate(await kit.printer.read(), confirmed))
    if (!watch.notes.includes(warning)) watch.note(warning);
}

/**
 * Klipper stopped around `work`, and kept stopped. The gate is asked once more in the moment before: since the preflight
 * somebody may have begun a print or switched a heater on. Then nothing is touched, Klipper included.
 */
export async function withKlipperStopped<T>(
  kit: Pick<Kit, 'printer' | 'recorder'>,
  { confirm }: Pick<VisitOrder, 'confirm'>,
  watch: Stopwatch,
  signal: AbortSignal | undefined,
  work: (klipper: ForeignStarts) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  watch.begin('stop');
  await kit.recorder.before({ kind: 'stop-klipper' });
  await passGate(kit, confirm, watch);
  signal?.throwIfAborted();
  const klipper = new ForeignStarts(kit, watch);
  try {
    await kit.printer.stopKlipper();
    signal?.throwIfAborted();
    return await work(klipper);
  } finally {
    await klipper.end();
    await kit.recorder.before({ kind: 'start-klipper' }).catch(() => {});
    // An ending of its own must not hide how the board fared.
    await kit.printer.startKlipper().catch(async (error: unknown) => {
      // On record that it is still stopped: the next start of the daemon starts it.
      await kit.recorder.before({ kind: 'stop-klipper' }).catch(() => {});
      watch.klipperDown = `Klipper could not be started: ${asOctopusError(error).message}`;
      watch.note(
        `${watch.klipperDown}. Start it by hand, or wait: the daemon starts it when Moonraker is back.`,
      );
    });
  }
}
