// A rig with a power device, and the course of a walk on it.
import { jest } from '@jest/globals';
import type { HeaterSafety } from '../../src/flash/heaters.ts';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import type { TestBench } from './bench.ts';
import { setUpKnown } from './walks.ts';

export const POWER = { kind: 'power', device: 'heaters' } as const;

/** A known board whose heaters are as given; Moonraker has a power device "heaters". */
export async function rigWith(heaters: HeaterSafety, options: BenchOptions = {}): Promise<TestBench> {
  const rig = await setUpKnown(options);
  rig.bench.printer.power.set('heaters', 'on');
  return { ...rig, place: { ...rig.place, heaters } };
}

/** What happens to Klipper, the lines and the power, in order. */
export function courseOf({ bench }: TestBench): string[] {
  const course: string[] = [];
  const { printer, gpio, lines } = bench;
  const [stop, start, power] = [
    printer.stopKlipper.bind(printer),
    printer.startKlipper.bind(printer),
    printer.setPower.bind(printer),
  ];
  jest.spyOn(printer, 'stopKlipper').mockImplementation(async () => {
    await stop();
    course.push('stopped');
  });
  jest.spyOn(printer, 'startKlipper').mockImplementation(async () => {
    course.push('start');
    await start();
  });
  jest.spyOn(printer, 'setPower').mockImplementation(async (device, state) => {
    course.push(`${device} ${state}`);
    await power(device, state);
  });
  const open = gpio.open.bind(gpio);
  jest.spyOn(gpio, 'open').mockImplementation(async (pins) => {
    course.push('lines');
    return open(pins);
  });
  lines.onLineChange(({ pin, drive }) => {
    if (pin === 'gpio19' && drive === 'floating') course.push('released');
  });
  return course;
}
