// Everything a job may touch, as interfaces. Functions take `Pick<Kit, 'usb' | 'clock'>`, never the whole.
import type { SerialPorts } from '../ports/bytes.ts';
import type { CanHost } from '../ports/can.ts';
import type { Clock } from '../ports/clock.ts';
import type { GpioHost } from '../ports/gpio.ts';
import type { Locks } from '../ports/locks.ts';
import type { Printer } from '../ports/printer.ts';
import type { Recorder } from '../ports/recorder.ts';
import type { Store } from '../ports/store.ts';
import type { UsbBus } from '../ports/usb.ts';

export interface Kit {
  readonly can: CanHost;
  readonly clock: Clock;
  readonly gpio: GpioHost;
  readonly locks: Locks;
  readonly printer: Printer;
  readonly recorder: Recorder;
  readonly serial: SerialPorts;
  readonly store: Store;
  readonly usb: UsbBus;
}
