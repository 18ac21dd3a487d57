// Virtual bench, USB: one device on one port, from its pull-up to the moment the kernel has forgotten it.

import { OctopusError } from '../errors.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import type { UsbFunction } from './usb-function.ts';

/** `electrical`: pull-up on, not yet enumerated. `unplugged`: off the wire, and the kernel does not know yet. */
export type AttachmentState = 'electrical' | 'present' | 'unplugged' | 'left';

/** What the fault hooks may do to whoever owns the device. */
export interface UsbOwner {
  unplug(): void;
  powerCut(): void;
}

export class Attachment {
  readonly busPath: string;
  readonly fn: UsbFunction;
  readonly owner: UsbOwner | undefined;
  state: AttachmentState = 'electrical';
  deviceNumber = 0;
  ttyPath: string | undefined;
  /** Clock time from which udev lets a user open it. */
  openableAt = 0;
  /** Clock time until which nothing of its tty reaches the host: a fault. */
  answersFrom = 0;
  /** A DFU opener or a tty opener; one at a time. */
  opened = false;
  /** EP0 carries one request after the other. */
  queue: Promise<unknown> = Promise.resolve();
  readonly #leavers = new Set<() => void>();

  constructor(busPath: string, fn: UsbFunction, owner: UsbOwner | undefined) {
    this.busPath = busPath;
    this.fn = fn;
    this.owner = owner;
  }

  info(): UsbDeviceInfo {
    const bytes = this.fn.deviceDescriptor;
    const word = (at: number): number => (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
    const text = (at: number): string | undefined => this.fn.strings.get(bytes[at] ?? 0);
    const manufacturer = text(14);
    const product = text(15);
    const serial = text(16);
    return {
      busPath: this.busPath,
      deviceNumber: this.deviceNumber,
      vendorId: word(8),
      productId: word(10),
      bcdDevice: word(12),
      ...(manufacturer === undefined ? {} : { manufacturer }),
      ...(product === undefined ? {} : { product }),
      ...(serial === undefined ? {} : { serial }),
      ...(this.ttyPath === undefined ? {} : { ttyPath: this.ttyPath }),
    };
  }

  /** Calls back once when the kernel reports the disconnect. */
  onLeft(listener: () => void): () => void {
    this.#leavers.add(listener);
    return () => this.#leavers.delete(listener);
  }

  leave(): void {
    this.state = 'left';
    const leavers = [...this.#leavers];
    this.#leavers.clear();
    for (const leaver of leavers) leaver();
  }

  gone(): OctopusError {
    return new OctopusError('device-gone', `the USB device at ${this.busPath} has left the bus`, {
      advice: 'Check the cable and the power supply of the board.',
      place: this.busPath,
    });
  }
}
