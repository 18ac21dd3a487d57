// The gate is asked twice: at the preflight, and in the moment before Klipper stops. What begins between the two looks is
// refused with nothing touched, Klipper included.
import { describe, expect, jest, test } from '@jest/globals';
import { flash } from '../../src/flash/flash.ts';
import type { PrinterReading } from '../../src/ports/printer.ts';
import { failureOf, klipperFor, orderFor } from '../support/bench.ts';
import { expectUntouched } from '../support/untouched.ts';
import { ALL_WALKS, atEachStep, setUpKnown } from '../support/walks.ts';

const CONFIRM = ['cold', 'still'] as const;
const heating: Partial<PrinterReading> = {
  heaters: [{ name: 'extruder', kind: 'extruder', targetC: 210, temperatureC: 24 }],
};

describe.each(Object.keys(ALL_WALKS))('%s', (name) => {
  const walk = ALL_WALKS[name] ?? (() => Promise.reject(new Error(name)));

  test.each([
    ['a print begins', { printing: true }],
    ['a heater is switched on', heating],
    ['somebody homes', { moving: true }],
  ])('%s between preflight and stop', async (_what, reading) => {
    const rig = await setUpKnown();
    const { printer } = rig.bench;
    const spies = [
      jest.spyOn(printer, 'stopKlipper'),
      jest.spyOn(printer, 'startKlipper'),
      jest.spyOn(rig.bench.gpio, 'open'),
    ];
    const stepsBefore = rig.steps.length;
    const read = jest.spyOn(printer, 'read');
    let reads = 0;
    const meanwhile = atEachStep(rig, (kind) => {
      reads = read.mock.calls.length;
      // The step is on disk before the second look.
      if (kind === 'stop-klipper') printer.reading = reading;
    });
    const failure = await expectUntouched(rig, () => walk(meanwhile, CONFIRM), {
      code: 'gate-closed',
      place: /printer/,
      visited: false,
    });
    expect(failure.onBoard ?? 'not changed').toMatch(/not changed/);
    expect(reads).toBe(1);
    for (const spy of spies) expect(spy).not.toHaveBeenCalled();
    expect(rig.steps.slice(stepsBefore)).toEqual([{ kind: 'stop-klipper' }]);
    rig.bench.dispose();
  });

  test('Klipper goes into an error meanwhile: what it cannot tell is asked for', async () => {
    const rig = await setUpKnown();
    const meanwhile = atEachStep(rig, (kind) => {
      if (kind === 'stop-klipper') rig.bench.printer.reading = { state: 'error' };
    });
    expect(await failureOf(walk(meanwhile, []))).toMatchObject({ code: 'needs-confirmation' });
    expect(rig.bench.printer.serviceRunning).toBe(true);
    rig.bench.dispose();
  });

  test.each([
    ['Z homed all the time', () => {}, { zHomed: true }],
    [
      'Z homed meanwhile',
      (reading: { zHomed?: boolean }) => {
        reading.zHomed = true;
      },
      { zHomed: false },
    ],
  ])('%s: said once', async (_what, change, reading) => {
    const rig = await setUpKnown();
    rig.bench.printer.reading = reading;
    const notes: string[] = [];
    const meanwhile = atEachStep(rig, (kind) => {
      if (kind === 'stop-klipper') change(reading);
    });
    await walk(meanwhile, CONFIRM, (event) => {
      if (event.kind === 'note') notes.push(event.text);
    });
    expect(notes.filter((note) => note.includes('Z axis'))).toHaveLength(1);
    rig.bench.dispose();
  });
});

test('cancelled while the gate answers: Klipper is not even stopped', async () => {
  const rig = await setUpKnown();
  const cancel = new AbortController();
  const meanwhile = atEachStep(rig, (kind) => {
    if (kind === 'stop-klipper') cancel.abort();
  });
  const stopped = jest.spyOn(rig.bench.printer, 'stopKlipper');
  const work = () => flash(meanwhile.kit, orderFor(rig, klipperFor(rig)), () => {}, cancel.signal);
  await expectUntouched(rig, work, { code: 'cancelled', visited: false });
  expect(stopped).not.toHaveBeenCalled();
  rig.bench.dispose();
});
