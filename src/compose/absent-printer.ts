// Composition, port Printer: two that are none. One for boards that belong to no printer, one that lets nothing begin.
import { OctopusError } from '../errors.ts';
import type { Printer } from '../ports/printer.ts';

/** For `moonraker: none`: nothing prints, nothing is stopped, and nobody knows whether anything is hot. */
export const absentPrinter: Printer = {
  read: async () => ({
    state: 'absent',
    printing: false,
    paused: false,
    moving: false,
    zHomed: false,
    heaters: [],
  }),
  stopKlipper: async () => {},
  startKlipper: async () => {},
  onForeignStart: () => () => {},
  setPower: async (device) => {
    throw new OctopusError(
      'printer-unreachable',
      `the power device ${device} cannot be switched without a Moonraker`,
      {
        place: 'power_device',
        advice: 'Take power_device out of host.conf, or name the Moonraker that has it.',
      },
    );
  },
  canNodes: async () => [],
  verdict: async () => ({ state: 'none' }),
};

/** Every question fails with `error`: the gate stays closed. */
export function unreachablePrinter(error: () => OctopusError): Printer {
  const fail = async (): Promise<never> => {
    throw error();
  };
  return {
    read: fail,
    stopKlipper: fail,
    startKlipper: fail,
    onForeignStart: () => () => {},
    setPower: fail,
    canNodes: fail,
    verdict: fail,
  };
}

/** Several printers, and the request names no board of theirs. */
export function whichPrinter(names: readonly string[]): OctopusError {
  return new OctopusError('printer-unreachable', 'it is not said which printer this is about', {
    place: 'board',
    advice: `Name the board (--board NAME). Printers here: ${names.join(', ')}.`,
  });
}
