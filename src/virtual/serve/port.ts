// Virtual board for other programs: a USB socket that a foreign kernel reaches into, and the devices that come and go in it.

import type { VirtualUsb } from '../usb-bus.ts';
import type { UsbFunction } from '../usb-function.ts';
import { readConfiguration, type InterfaceSummary } from './configuration.ts';
import { Urbs } from './urbs.ts';

export interface ServedDevice {
  /** New at each enumeration. */
  readonly number: number;
  /** USB 2.0 table 9-8. */
  readonly descriptor: Uint8Array;
  readonly interfaces: readonly InterfaceSummary[];
  readonly urbs: Urbs;
}

export class ServedPort {
  /** As USB/IP names it: `1-1.2`. */
  readonly busId: string;
  readonly #listeners = new Set<(device: ServedDevice | undefined) => void>();
  #device: ServedDevice | undefined;
  /** One kernel at a time. */
  #isTaken = false;

  constructor(busId: string) {
    this.busId = busId;
  }

  get device(): ServedDevice | undefined {
    return this.#device;
  }

  get isTaken(): boolean {
    return this.#isTaken;
  }

  /** Called when a device has come, was given back, or has left (undefined). */
  onChange(listener: (device: ServedDevice | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @returns gives the device back; undefined while somebody else has it, or none is there */
  take(): (() => void) | undefined {
    const device = this.#device;
    if (this.#isTaken || device === undefined) return undefined;
    this.#isTaken = true;
    return () => {
      if (this.#device !== device) return;
      this.#isTaken = false;
      // Who waited for it looks again.
      this.#tell();
    };
  }

  show(device: ServedDevice): void {
    this.hide();
    this.#device = device;
    this.#tell();
  }

  hide(): void {
    const device = this.#device;
    if (device === undefined) return;
    this.#device = undefined;
    this.#isTaken = false;
    device.urbs.close();
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener(this.#device);
  }
}

/** A device that never leaves. */
export async function permanentPort(busId: string, fn: UsbFunction): Promise<ServedPort> {
  const port = new ServedPort(busId);
  const interfaces = await readConfiguration(fn);
  const urbs = new Urbs(fn, () => true);
  port.show({ number: 1, descriptor: fn.deviceDescriptor, interfaces, urbs });
  return port;
}

/**
 * The bench's socket at `busPath`. Its bus is to have no times of a host's kernel: the one that is served has its own.
 *
 * @param onArrival what is to be joined to a function before a host meets it
 */
export async function boardPort(
  usb: VirtualUsb,
  busPath: string,
  onArrival: (fn: UsbFunction) => void,
): Promise<{ readonly port: ServedPort; close(): void }> {
  const port = new ServedPort(busPath);
  const look = async (): Promise<void> => {
    const attachment = usb.visible().find((one) => one.busPath === busPath && one.state === 'present');
    if (attachment === undefined) return;
    onArrival(attachment.fn);
    const isOnWire = (): boolean => attachment.state === 'present';
    const interfaces = await readConfiguration(attachment.fn);
    if (!isOnWire()) return;
    const { fn, deviceNumber, owner } = attachment;
    const urbs = new Urbs(fn, isOnWire, (setup, data) => {
      const fault = usb.faults.beforeTransfer?.(usb.transfers.next(setup), setup, data, busPath);
      if (fault === 'unplug') owner?.unplug();
      else if (fault === 'power-cut') owner?.powerCut();
      else return fault;
      return undefined;
    });
    port.show({ number: deviceNumber, descriptor: fn.deviceDescriptor, interfaces, urbs });
  };
  const forget = usb.onChange(({ kind, device }) => {
    if (device.busPath !== busPath) return;
    if (kind === 'left') port.hide();
    else void look();
  });
  await look();
  return {
    port,
    close: () => {
      forget();
      port.hide();
    },
  };
}
