// Composition, a kit of this host's own hardware. Nothing is opened here: each adapter says for itself what is missing.
import { existsSync } from 'node:fs';
import { hardwareCan } from '../hardware/can.ts';
import { systemClock } from '../hardware/clock.ts';
import { hardwareGpio } from '../hardware/gpio.ts';
import { loadLibc } from '../hardware/libc.ts';
import { SocketLocks } from '../hardware/locks.ts';
import { hardwareSerial } from '../hardware/serial.ts';
import { FileStore } from '../hardware/store.ts';
import { loadUsb } from '../hardware/usb-native.ts';
import { SYSFS_USB } from '../hardware/usb-tree.ts';
import { HardwareUsb } from '../hardware/usb.ts';
import type { JobKit } from '../jobs/runner.ts';
import type { Printer } from '../ports/printer.ts';
import type { Paths } from './paths.ts';

export function hardwareKit(
  paths: Pick<Paths, 'data'>,
  printer: Printer,
  env: Readonly<Record<string, string | undefined>> = process.env,
): JobKit {
  return {
    store: new FileStore(paths.data),
    locks: new SocketLocks(),
    clock: systemClock,
    gpio: hardwareGpio({ force: env['OCTOPUS_GPIO'] }),
    serial: hardwareSerial(),
    usb: new HardwareUsb({ force: env['OCTOPUS_USB'] }),
    can: hardwareCan({ force: env['OCTOPUS_CAN'] }),
    printer,
  };
}

/** For a process that lives long: files may change under it, so what it will need it loads now. */
export async function preloadHardware(): Promise<void> {
  await loadLibc();
  if (existsSync(SYSFS_USB)) await loadUsb().catch(() => {});
}
