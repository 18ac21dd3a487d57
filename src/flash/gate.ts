// Idle, still and cold? Asked before a board is taken from its printer; fails closed.
import { OctopusError } from '../errors.ts';
import type { PrinterReading } from '../ports/printer.ts';

/** What a caller may vouch for where the printer cannot tell. */
export const CONFIRMATIONS = ['cold', 'still', 'heaters_unplugged'] as const;
export type Confirmation = (typeof CONFIRMATIONS)[number];

const EXTRUDER_MAX_C = 50;
const BED_MAX_C = 80;
/** Moonraker's temperature store is trusted this long after its last sample. */
const TEMPERATURE_MAX_AGE_MS = 10 * 60_000;

/** Throws `gate-closed` (never skipped by force) or `needs-confirmation`. Returns what the caller should know. */
export function judgeGate(reading: PrinterReading, confirmed: readonly Confirmation[]): readonly string[] {
  refuseWhileWorking(reading);
  const heating = reading.heaters.find((heater) => heater.targetC > 0);
  if (heating !== undefined)
    throw closed(
      `${heating.name} is set to ${heating.targetC} C`,
      'Switch the heaters off (TURN_OFF_HEATERS).',
    );
  judgeTemperatures(reading, confirmed);
  if (reading.state !== 'ready' && !confirmed.includes('still')) {
    throw needs(
      'still',
      reading.state === 'absent'
        ? 'no printer tells whether it stands still'
        : `Klipper is in state "${reading.state}" and cannot say whether the printer stands still`,
    );
  }
  return reading.zHomed ? ['The motors lose power: a Z axis that is held by its motor may drop.'] : [];
}

/** Throws `gate-closed` during a print, a pause or a movement; `because` says why what leaves the board alone must wait. */
export function refuseWhileWorking(reading: PrinterReading, because?: string): void {
  const reason = because === undefined ? '' : `, and ${because}`;
  if (reading.printing || reading.paused) {
    const print = `a print is ${reading.paused ? 'paused' : 'running'}`;
    throw closed(`${print}${reason}`, 'Wait for its end, or cancel it.');
  }
  if (reading.moving)
    throw closed(`the printer is moving${reason}`, 'Wait until homing, levelling or the macro has ended.');
}

function judgeTemperatures(reading: PrinterReading, confirmed: readonly Confirmation[]): void {
  const fresh =
    reading.state === 'ready' ||
    (reading.temperatureAgeMs !== undefined && reading.temperatureAgeMs < TEMPERATURE_MAX_AGE_MS);
  if (!fresh) {
    if (confirmed.includes('cold')) return;
    throw needs(
      'cold',
      reading.state === 'absent'
        ? 'no printer tells whether anything is hot'
        : `Klipper is in state "${reading.state}" and no temperature is younger than 10 minutes`,
    );
  }
  for (const heater of reading.heaters) {
    const maxC = heater.kind === 'bed' ? BED_MAX_C : EXTRUDER_MAX_C;
    if (!(heater.temperatureC <= maxC)) {
      throw closed(
        `${heater.name} is at ${heater.temperatureC} C (at most ${maxC} C)`,
        'Let it cool down: in DFU mode nothing watches the heaters.',
      );
    }
  }
}

function closed(what: string, advice: string): OctopusError {
  return new OctopusError('gate-closed', `not now: ${what}`, { place: 'printer', advice });
}

function needs(confirmation: Confirmation, why: string): OctopusError {
  return new OctopusError('needs-confirmation', why, {
    place: 'confirm',
    advice: `If you have looked and it is so, add confirm: ${confirmation}.`,
  });
}
