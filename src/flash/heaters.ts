// Heaters in DFU mode: while the ROM looks for a host it drives pins that are heater outputs on these boards, and nothing
// watches the temperature then. So nothing may hang on them, or it has no power, or the caller vouches for it.
import type { Board } from '../boards/types.ts';
import { OctopusError, asOctopusError } from '../errors.ts';
import type { Confirmation } from './gate.ts';
import type { Kit } from './kit.ts';
import type { Stopwatch } from './stopwatch.ts';

/**
 * Why the outputs that the ROM may drive (`Board.heatersDrivenByRom`) heat nothing in DFU mode: the owner says that
 * nothing hangs on them, Moonraker's power device takes their supply away, or nobody knows and the caller must vouch.
 */
export type HeaterSafety =
  | { readonly kind: 'unused' }
  | { readonly kind: 'power'; readonly device: string }
  | { readonly kind: 'unknown' };

export interface HeatedPlace {
  readonly board: Board;
  readonly heaters: HeaterSafety;
}

/** What must be done about the board's heaters; a board whose ROM drives none needs nothing. */
export function heaterSafety({ board, heaters }: HeatedPlace): HeaterSafety {
  return board.heatersDrivenByRom.length === 0 ? { kind: 'unused' } : heaters;
}

/**
 * Asked before a walk that enters the ROM. A dry run is told what the real one will need.
 * Throws `needs-confirmation`.
 */
export function passHeaters(
  place: HeatedPlace,
  confirmed: readonly Confirmation[],
  watch: Stopwatch,
  isDryRun = false,
): void {
  const outputs = place.board.heatersDrivenByRom.join(' and ');
  const safety = heaterSafety(place);
  switch (safety.kind) {
    case 'unused':
      return;
    case 'power':
      watch.note(
        `While the board is in DFU mode the power device "${safety.device}" is off: the ROM may drive ${outputs}.`,
      );
      return;
    case 'unknown': {
      if (confirmed.includes('heaters_unplugged')) {
        watch.note(`In DFU mode the ROM may drive ${outputs}: they stay unplugged until the board is back.`);
      } else if (isDryRun) {
        watch.note(
          `To be done for real it needs a word about the heaters: ${why(place.board)}. ${cures(place.board)}`,
        );
      } else {
        throw heatersUnvouched(place.board);
      }
    }
  }
}

/** The refusal: nobody said that the heaters which the ROM may drive are cold for good. */
export function heatersUnvouched(board: Board): OctopusError {
  return new OctopusError('needs-confirmation', why(board), { place: 'confirm', advice: cures(board) });
}

function why({ name, heatersDrivenByRom }: Board): string {
  return `in DFU mode the ROM of ${name} may drive ${heatersDrivenByRom.join(' and ')}, and nothing watches the heaters then`;
}

function cures({ name, heatersDrivenByRom }: Board): string {
  // "HE2 (PB10)" is HE2 on the board's print and in the configuration.
  const names = heatersDrivenByRom.map((output) => output.split(' ')[0]).join(', ');
  return `Unplug what hangs on ${names} and add confirm: heaters_unplugged. For good: "unused_heaters: ${names}" under [board ${name}] in host.conf where nothing is connected there, or "power_device: NAME" in host.conf for a power device of Moonraker that is their supply.`;
}

/**
 * Does `work` while the heaters have no power, where a power device stands for that, and gives it back in every ending
 * but one: a board that is still in DFU mode would heat at once.
 * Throws `gate-closed` when it cannot be switched off: nothing was touched then.
 */
export async function withHeatersOff<T>(
  kit: Pick<Kit, 'printer' | 'recorder'>,
  place: HeatedPlace,
  watch: Stopwatch,
  work: () => Promise<T>,
  isStillInRom: () => Promise<boolean>,
): Promise<T> {
  const safety = heaterSafety(place);
  if (safety.kind !== 'power') return work();
  const { device } = safety;
  await kit.recorder.before({ kind: 'power', device, state: 'off' });
  const switchOn = async (): Promise<void> => {
    await kit.printer.setPower(device, 'on');
    // On record behind the deed: as long as it is off, a later start has something to do.
    await kit.recorder.before({ kind: 'power', device, state: 'on' }).catch(() => {});
  };
  try {
    await kit.printer.setPower(device, 'off');
  } catch (thrown) {
    // A command that came to no answer may have been carried out.
    await switchOn().catch(() => {});
    throw notOff(device, asOctopusError(thrown));
  }
  try {
    return await work();
  } finally {
    // A bus that cannot be looked at proves nothing.
    if (await isStillInRom().catch(() => true)) {
      watch.note(
        `The power device "${device}" stays off: the board is still in DFU mode. Switch it on once the board runs again.`,
      );
    } else {
      await switchOn().catch((thrown: unknown) =>
        watch.note(
          `The power device "${device}" could not be switched on again: ${asOctopusError(thrown).message}. Switch it on by hand.`,
        ),
      );
    }
  }
}

function notOff(device: string, cause: OctopusError): OctopusError {
  return new OctopusError(
    'gate-closed',
    `not now: the heaters' power device "${device}" cannot be switched off: ${cause.message}`,
    { place: 'power_device', advice: cause.advice, cause },
  );
}
