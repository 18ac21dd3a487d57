// Virtual bench, the board's USB socket: shows what the chip runs to the host, while the cable is in.

import type { Attachment, UsbOwner } from './usb-attachment.ts';
import type { VirtualUsb } from './usb-bus.ts';
import type { UsbFunction } from './usb-function.ts';

export class UsbSocket {
  readonly #usb: VirtualUsb;
  readonly #busPath: string;
  readonly #owner: UsbOwner;
  #plugged = true;
  /** Makes the function anew: after a replug the device starts as after a USB reset. */
  #make: (() => UsbFunction) | undefined;
  #fn: UsbFunction | undefined;
  #attachment: Attachment | undefined;
  /** The board has left the wire, for whatever reason. */
  onLeftWire: () => void = () => {};

  constructor(usb: VirtualUsb, busPath: string, owner: UsbOwner) {
    this.#usb = usb;
    this.#busPath = busPath;
    this.#owner = owner;
  }

  get plugged(): boolean {
    return this.#plugged;
  }

  get present(): boolean {
    return this.#attachment?.state === 'present';
  }

  /** The host has found what there is to find, and a user may open it. */
  settled(now: number): boolean {
    const attachment = this.#attachment;
    if (attachment === undefined) return true;
    const waitsForTty = attachment.fn.tty !== undefined && attachment.ttyPath === undefined;
    return attachment.state === 'present' && !waitsForTty && now >= attachment.openableAt;
  }

  show(make: () => UsbFunction): void {
    this.#make = make;
    if (this.#plugged) this.#appear(make);
  }

  /** The chip drops its pull-up: reset, power, or the program's own wish. */
  drop(): void {
    this.#make = undefined;
    this.#disappear();
  }

  unplug(): void {
    this.#plugged = false;
    this.#disappear();
  }

  replug(): void {
    this.#plugged = true;
    if (this.#make !== undefined) this.#appear(this.#make);
  }

  #appear(make: () => UsbFunction): void {
    this.#fn = make();
    this.#attachment = this.#usb.attach(this.#busPath, this.#fn, this.#owner);
  }

  #disappear(): void {
    this.#fn?.stop();
    this.#fn = undefined;
    if (this.#attachment === undefined) return;
    this.#usb.detach(this.#attachment);
    this.#attachment = undefined;
    this.onLeftWire();
  }
}
