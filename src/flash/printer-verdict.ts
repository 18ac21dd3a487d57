// The printer's verdict: Klipper starts and reports the version. It can fail for other reasons (another MCU may be
// outdated too), so it never fails the job and never rolls anything back.
import { asOctopusError } from '../errors.ts';
import type { PrinterVerdict } from '../ports/printer.ts';
import type { Kit } from './kit.ts';
import type { Stopwatch } from './stopwatch.ts';

export interface PrinterOutcome {
  readonly printer: PrinterVerdict['state'];
  readonly printerReason?: string;
}

/** Klippy retries a missing MCU for 90 s before it says "error" (klippy/serialhdl.py); it answers sooner when it can. */
const VERDICT_TIMEOUT_MS = 100_000;

export async function awaitPrinter(
  kit: Pick<Kit, 'printer'>,
  version: string | null,
  { klipperDown }: Pick<Stopwatch, 'klipperDown'>,
): Promise<PrinterOutcome> {
  // Nobody starts it while this job is waited for, and an update of this very program may be waiting.
  if (klipperDown !== undefined) return { printer: 'not_ready', printerReason: klipperDown };
  try {
    const verdict = await kit.printer.verdict(VERDICT_TIMEOUT_MS);
    if (verdict.state === 'not_ready') return { printer: 'not_ready', printerReason: verdict.reason };
    if (verdict.state === 'ready' && version !== null && verdict.version !== version) {
      return {
        printer: 'not_ready',
        printerReason: `Klipper reports ${verdict.version} for this board, expected ${version}`,
      };
    }
    return { printer: verdict.state };
  } catch (error) {
    return { printer: 'not_ready', printerReason: asOctopusError(error).message };
  }
}
