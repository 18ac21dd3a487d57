// Virtual bench, port UsbBus: ports with devices that come and go, as the host's kernel and udev show them.

import { OctopusError } from '../errors.ts';
import type { Unsubscribe, UsbBus, UsbChange, UsbDeviceInfo, UsbDfuDevice } from '../ports/usb.ts';
import { after, type BenchClock } from './clock.ts';
import { disturbed, type ByteDirection, type ByteFault } from './byte-faults.ts';
import type { BenchTimes } from './times.ts';
import { Attachment, type UsbOwner } from './usb-attachment.ts';
import type { SetupPacket, UsbFunction } from './usb-function.ts';
import { OpenedDfu, TransferCounter } from './usb-transfer.ts';

/**
 * What goes wrong with one control transfer: the chip never sees it (`stall`, `timeout`), does the work and the
 * answer is lost (`lost-answer`), late, or has a wrong bit in its middle (`flipped`), the chip is asked twice and answers
 * twice (`doubled`), the cable comes out before it, or the board's power goes before it.
 */
export type TransferFault =
  | 'unplug'
  | 'stall'
  | 'timeout'
  | 'lost-answer'
  | 'doubled'
  | 'flipped'
  | 'power-cut'
  | { readonly lateMs: number };

export interface BenchFaults {
  /** Called before each control transfer of an opened device; `n` counts from 1 over the bench's life. */
  beforeTransfer?:
    | ((n: number, setup: SetupPacket, data: Uint8Array, busPath: string) => TransferFault | undefined)
    | undefined;
  /**
   * Called before each write() that reaches a Katapult or a Klipper on USB, and before each answer that it sends; `n` counts
   * both from 1 over the bench's life.
   */
  beforeBytes?:
    | ((n: number, direction: ByteDirection, bytes: Uint8Array, busPath: string) => ByteFault | undefined)
    | undefined;
  /** Returns true where opening is refused for want of permission. */
  refuseOpen?: ((device: UsbDeviceInfo) => boolean) | undefined;
}

/** bInterfaceClass values are the device's secret here; what carries a tty belongs to cdc_acm. */
export class VirtualUsb implements UsbBus {
  readonly transfers = new TransferCounter();
  /** Messages to and from the boards' ttys so far. */
  messages = 0;
  readonly faults: BenchFaults;
  readonly clock: BenchClock;
  readonly times: BenchTimes;
  readonly #events: boolean;
  readonly #attachments: Attachment[] = [];
  readonly #listeners = new Set<(change: UsbChange) => void>();
  readonly #ttyNumbers = new Set<number>();
  #lastDeviceNumber = 2;

  constructor(clock: BenchClock, times: BenchTimes, faults: BenchFaults, events: boolean) {
    this.clock = clock;
    this.times = times;
    this.faults = faults;
    this.#events = events;
  }

  /** Counters of control transfers per request: `dnload`, `upload`, `getstatus`, ... */
  get transferCount(): Readonly<Record<string, number>> {
    return this.transfers.counts();
  }

  async list(): Promise<readonly UsbDeviceInfo[]> {
    await Promise.resolve();
    return this.visible().map((attachment) => attachment.info());
  }

  onChange(listener: (change: UsbChange) => void): Unsubscribe {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async openDfu(info: UsbDeviceInfo): Promise<UsbDfuDevice> {
    await Promise.resolve();
    const found = this.visible().find(
      (a) => a.busPath === info.busPath && a.deviceNumber === info.deviceNumber,
    );
    if (found === undefined || found.state !== 'present') {
      throw (found ?? new Attachment(info.busPath, NO_FUNCTION, undefined)).gone();
    }
    if (this.clock.now() < found.openableAt || this.faults.refuseOpen?.(info) === true) {
      throw notOpened(info, 'permission denied (LIBUSB_ERROR_ACCESS)');
    }
    if (found.fn.tty !== undefined) throw isHeld(info, "the kernel's driver cdc_acm");
    if (found.opened) throw isHeld(info, 'another program');
    found.opened = true;
    const opened = new OpenedDfu(this, found);
    // Claiming selects alternate setting 0 on the wire.
    await opened.raw(
      { bmRequestType: 0x01, bRequest: 11, wValue: 0, wIndex: 0, wLength: 0 },
      new Uint8Array(0),
    );
    return opened;
  }

  /** Devices the kernel still lists, whether or not they are on the wire. */
  visible(): readonly Attachment[] {
    return this.#attachments.filter((a) => a.state === 'present' || a.state === 'unplugged');
  }

  /** A pull-up appears at `busPath`; the device is found some time later. */
  attach(busPath: string, fn: UsbFunction, owner?: UsbOwner): Attachment {
    const attachment = new Attachment(busPath, fn, owner);
    this.#attachments.push(attachment);
    after(this.clock, this.times.enumerateMs, () => this.#found(attachment));
    return attachment;
  }

  /** The pull-up is gone. What runs on the chip has been stopped by whoever calls this. */
  detach(attachment: Attachment): void {
    if (attachment.state === 'electrical') {
      // It went before the host had made anything of it.
      attachment.leave();
      this.#forget(attachment);
      return;
    }
    if (attachment.state !== 'present') return;
    attachment.state = 'unplugged';
    after(this.clock, this.times.noticeLeftMs, () => {
      const device = attachment.info();
      attachment.leave();
      this.#forget(attachment);
      this.#tell({ kind: 'left', device });
    });
  }

  /** One message between host and Katapult, as it comes out at the other end. */
  disturb(
    direction: ByteDirection,
    message: Uint8Array,
    busPath: string,
    owner: UsbOwner,
  ): readonly Uint8Array[] {
    const fault = this.faults.beforeBytes?.(++this.messages, direction, message.slice(), busPath);
    if (typeof fault === 'object' && 'lateMs' in fault && direction === 'in')
      this.#holdIn(busPath, fault.lateMs);
    if (fault === 'power-cut') owner.powerCut();
    else if (fault === 'unplug') owner.unplug();
    else return disturbed(fault, message);
    // An answer waits in the chip until somebody comes for it; a chip without power has none.
    return fault === 'unplug' && direction === 'in' ? [message] : [];
  }

  #holdIn(busPath: string, ms: number): void {
    const attachment = this.visible().find((one) => one.busPath === busPath);
    if (attachment !== undefined) attachment.answersFrom = this.clock.now() + ms;
  }

  freeTty(attachment: Attachment): void {
    // A number is free again when the device has left and nobody holds its node.
    if (attachment.state !== 'left' || attachment.opened || attachment.ttyPath === undefined) return;
    this.#ttyNumbers.delete(Number(attachment.ttyPath.replace(/\D/g, '')));
  }

  #found(attachment: Attachment): void {
    if (attachment.state !== 'electrical' || attachment.fn.isDead?.() === true) return;
    const before = this.visible().find((other) => other.busPath === attachment.busPath);
    if (before !== undefined) {
      // The port still shows the device before: its disconnect comes first, then this one is enumerated.
      before.onLeft(() => after(this.clock, this.times.enumerateMs, () => this.#found(attachment)));
      return;
    }
    attachment.state = 'present';
    attachment.deviceNumber = ++this.#lastDeviceNumber;
    attachment.openableAt = this.clock.now() + this.times.udevMs;
    // The kernel configures every device it finds.
    attachment.fn
      .control({ bmRequestType: 0, bRequest: 9, wValue: 1, wIndex: 0, wLength: 0 }, new Uint8Array(0))
      .catch(() => {});
    if (attachment.fn.tty !== undefined) {
      if (this.times.ttyMs === 0) this.#giveTty(attachment);
      else after(this.clock, this.times.ttyMs, () => this.#giveTty(attachment));
    }
    this.#tell({ kind: 'arrived', device: attachment.info() });
  }

  #giveTty(attachment: Attachment): void {
    if (attachment.state !== 'present') return;
    let number = 0;
    while (this.#ttyNumbers.has(number)) number++;
    this.#ttyNumbers.add(number);
    attachment.ttyPath = `/dev/ttyACM${number}`;
  }

  #forget(attachment: Attachment): void {
    const index = this.#attachments.indexOf(attachment);
    if (index >= 0) this.#attachments.splice(index, 1);
    this.freeTty(attachment);
  }

  #tell(change: UsbChange): void {
    // Without udevd nobody hears of it; the list is right all the same.
    if (!this.#events) return;
    for (const listener of this.#listeners) listener(change);
  }
}

const NO_FUNCTION: UsbFunction = {
  deviceDescriptor: new Uint8Array(18),
  strings: new Map(),
  control: () => Promise.resolve('stall'),
  stop: () => {},
};

function isHeld(info: UsbDeviceInfo, holder: string): OctopusError {
  return new OctopusError('busy', `the USB device at ${info.busPath} is held by ${holder}`, {
    advice: 'End the program that uses the board.',
    place: info.busPath,
  });
}

function notOpened(info: UsbDeviceInfo, why: string): OctopusError {
  return new OctopusError('no-hardware', `the USB device at ${info.busPath} cannot be opened: ${why}`, {
    advice: 'Check the udev rule.',
    place: info.busPath,
  });
}
