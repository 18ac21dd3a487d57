import { describe, expect, test } from '@jest/globals';
import { judgeGate, type Confirmation } from '../../src/flash/gate.ts';
import type { HeaterReading, KlipperState, PrinterReading } from '../../src/ports/printer.ts';

const extruder = (targetC: number, temperatureC: number): HeaterReading => ({
  name: 'extruder',
  kind: 'extruder',
  targetC,
  temperatureC,
});
const bed = (targetC: number, temperatureC: number): HeaterReading => ({
  name: 'heater_bed',
  kind: 'bed',
  targetC,
  temperatureC,
});
const idle: PrinterReading = {
  state: 'ready',
  printing: false,
  paused: false,
  moving: false,
  zHomed: false,
  heaters: [extruder(0, 22), bed(0, 23)],
};

const verdict = (reading: Partial<PrinterReading>, confirmed: readonly Confirmation[] = []): string => {
  try {
    judgeGate({ ...idle, ...reading }, confirmed);
    return 'open';
  } catch (error) {
    const { code, advice } = error as { code: string; advice: string };
    return code === 'needs-confirmation' ? `needs ${/confirm: (\w+)/.exec(advice)?.[1]}` : code;
  }
};

describe('ready', () => {
  test.each<[string, Partial<PrinterReading>, string]>([
    ['idle and cold', {}, 'open'],
    ['printing', { printing: true }, 'gate-closed'],
    ['paused', { paused: true }, 'gate-closed'],
    ['homing or levelling', { moving: true }, 'gate-closed'],
    ['extruder target 1', { heaters: [extruder(1, 20)] }, 'gate-closed'],
    ['extruder 50 C', { heaters: [extruder(0, 50)] }, 'open'],
    ['extruder 50.1 C', { heaters: [extruder(0, 50.1)] }, 'gate-closed'],
    ['bed 80 C', { heaters: [bed(0, 80)] }, 'open'],
    ['bed 80.1 C', { heaters: [bed(0, 80.1)] }, 'gate-closed'],
    ['a sensor that is no number', { heaters: [extruder(0, NaN)] }, 'gate-closed'],
  ])('%s', (_name, reading, expected) => {
    expect(verdict(reading)).toBe(expected);
    // No confirmation opens what the printer knows to be closed.
    expect(verdict(reading, ['cold', 'still', 'heaters_unplugged'])).toBe(expected);
  });

  test('a homed Z is said, not refused', () => {
    expect(judgeGate({ ...idle, zHomed: true }, [])).toHaveLength(1);
    expect(judgeGate(idle, [])).toEqual([]);
  });
});

describe.each<KlipperState>(['error', 'shutdown', 'startup', 'disconnected', 'absent'])('%s', (state) => {
  const fresh = 10 * 60_000 - 1;
  test.each<[string, Partial<PrinterReading>, readonly Confirmation[], string]>([
    ['no temperatures', { heaters: [] }, [], 'needs cold'],
    ['no temperatures, called cold', { heaters: [] }, ['cold'], 'needs still'],
    ['no temperatures, called cold and still', { heaters: [] }, ['cold', 'still'], 'open'],
    ['fresh and cold', { temperatureAgeMs: fresh }, ['still'], 'open'],
    [
      'fresh and hot',
      { temperatureAgeMs: fresh, heaters: [extruder(0, 90)] },
      ['cold', 'still'],
      'gate-closed',
    ],
    ['too old', { temperatureAgeMs: fresh + 1 }, ['still'], 'needs cold'],
    ['heater still on', { heaters: [extruder(200, 20)] }, ['cold', 'still'], 'gate-closed'],
  ])('%s', (_name, reading, confirmed, expected) =>
    expect(verdict({ ...reading, state }, confirmed)).toBe(expected),
  );
});
