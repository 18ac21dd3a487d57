// Composition, a kit for what touches no board: whatever is asked of the hardware says that it cannot be reached.
import { OctopusError } from '../errors.ts';
import { systemClock } from '../hardware/clock.ts';
import { SocketLocks } from '../hardware/locks.ts';
import { FileStore } from '../hardware/store.ts';
import type { JobKit } from '../jobs/runner.ts';
import { virtualBoardNames } from '../virtual/board-data.ts';
import type { Paths } from './paths.ts';

export function kitWithoutHardware(paths: Paths): JobKit {
  return {
    store: new FileStore(paths.data),
    locks: new SocketLocks(),
    clock: systemClock,
    gpio: { open: missing('GPIO') },
    serial: { open: missing('the serial ports') },
    usb: { list: missing('USB'), onChange: () => () => {}, openDfu: missing('USB') },
    can: { open: missing('CAN') },
    printer: {
      read: missing('the printer'),
      stopKlipper: missing('the printer'),
      startKlipper: missing('the printer'),
      onForeignStart: () => () => {},
      setPower: missing('the printer'),
      canNodes: missing('the printer'),
      verdict: missing('the printer'),
    },
  };
}

function missing(what: string): () => Promise<never> {
  return async () => {
    throw noHardware(what);
  };
}

export function noHardware(what: string): OctopusError {
  return new OctopusError(
    'no-hardware',
    `this version cannot reach ${what}: it has no hardware adapters yet`,
    {
      advice: `Use --virtual BOARD, one of: ${virtualBoardNames().join(', ')}.`,
    },
  );
}
