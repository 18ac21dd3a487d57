// Moonraker, one look at the printer: what Klipper says while it is ready, what Moonraker remembers when it is not.
import type { HeaterReading, KlipperState, PrinterReading } from '../ports/printer.ts';
import { numberAt, objectAt, objectOrEmpty, textAt, textsAt, type Answer } from './answers.ts';

/** Moonraker samples each sensor once a second (moonraker/components/data_store.py, TEMP_UPDATE_TIME). */
const SAMPLE_MS = 1000;

/** Klipper objects that answer the gate's questions, besides the heaters. */
export const GATE_OBJECTS = {
  webhooks: null,
  heaters: ['available_heaters'],
  print_stats: ['state'],
  idle_timeout: ['state'],
  pause_resume: ['is_paused'],
  virtual_sdcard: ['is_active'],
  toolhead: ['homed_axes'],
} as const;

/** As server.info and Klipper's `webhooks` object name them; an unknown one is the kind that proves nothing. */
export function klipperState(word: unknown): KlipperState {
  switch (word) {
    case 'ready':
    case 'error':
    case 'shutdown':
    case 'startup':
    case 'disconnected':
      return word;
    default:
      return 'error';
  }
}

/** @param status of `printer.objects.query` with GATE_OBJECTS and the heaters, Klipper being ready */
export function readyReading(status: Answer, heaters: readonly string[]): PrinterReading {
  const print = objectOrEmpty(status, 'print_stats')['state'];
  return {
    state: 'ready',
    printing: print === 'printing' || objectOrEmpty(status, 'virtual_sdcard')['is_active'] === true,
    paused: print === 'paused' || objectOrEmpty(status, 'pause_resume')['is_paused'] === true,
    // "Printing" is any G-code that moves, homing and levelling too; print_stats knows only files.
    moving: textAt(objectAt(status, 'idle_timeout'), 'state') === 'Printing',
    zHomed: homedAxes(status).includes('z'),
    heaters: heaters.map((name) => {
      const heater = objectAt(status, name);
      return heaterOf(name, numberAt(heater, 'target'), numberAt(heater, 'temperature'));
    }),
    temperatureAgeMs: 0,
  };
}

export function availableHeaters(status: Answer): readonly string[] {
  const heaters = objectOrEmpty(status, 'heaters');
  return 'available_heaters' in heaters ? textsAt(heaters, 'available_heaters') : [];
}

function homedAxes(status: Answer): string {
  const axes = objectOrEmpty(status, 'toolhead')['homed_axes'];
  return typeof axes === 'string' ? axes.toLowerCase() : '';
}

/**
 * Klipper is not ready. Nothing is known of motion, and no target counts: no Klipper holds one, and the MCU has
 * switched its heaters off; how hot they still are is what matters.
 * @param store the answer of `server.temperature_store`
 */
export function notReadyReading(state: KlipperState, store: Answer): PrinterReading {
  const heaters: HeaterReading[] = [];
  let ageMs: number | undefined = 0;
  for (const name of Object.keys(store).filter(isHeater)) {
    const samples = objectAt(store, name)['temperatures'];
    const history: readonly unknown[] = Array.isArray(samples) ? samples : [];
    const last = history.at(-1);
    const heaterAgeMs = historyAgeMs(history);
    if (typeof last === 'number') heaters.push(heaterOf(name, 0, last));
    ageMs = ageMs === undefined || heaterAgeMs === undefined ? undefined : Math.max(ageMs, heaterAgeMs);
  }
  const known = { state, printing: false, paused: false, moving: false, zHomed: false, heaters };
  return heaters.length === 0 || ageMs === undefined ? known : { ...known, temperatureAgeMs: ageMs };
}

/**
 * How old the last sample is at most. Moonraker repeats the last temperature each second for as long as Klipper is
 * silent, so samples alone say nothing: what counts is when the value last changed. A real sensor is never still for
 * long; one that never changed has an unknown age.
 */
function historyAgeMs(history: readonly unknown[]): number | undefined {
  const last = history.at(-1);
  if (typeof last !== 'number') return undefined;
  const change = history.findLastIndex((sample) => sample !== last);
  // None is no temperature: where the sensor came to life says as much as a change.
  return change < 0 ? undefined : (history.length - 1 - change) * SAMPLE_MS;
}

/** In the store are also fans and chamber sensors, which heat nothing. */
function isHeater(name: string): boolean {
  return /^(extruder\d*|heater_bed|heater_generic .+)$/.test(name);
}

function heaterOf(name: string, targetC: number, temperatureC: number): HeaterReading {
  const kind = name === 'heater_bed' ? 'bed' : /^extruder\d*$/.test(name) ? 'extruder' : 'other';
  return { name, kind, targetC, temperatureC };
}
