// Virtual bench, port SerialPorts: the tty of a CDC-ACM device, for one program at a time.

import { OctopusError } from '../errors.ts';
import type { ByteChannel, SerialPorts } from '../ports/bytes.ts';
import { after } from './clock.ts';
import type { Attachment } from './usb-attachment.ts';
import type { VirtualUsb } from './usb-bus.ts';

/** Klipper's transmit buffer (src/generic/usb_cdc.c): what more nobody reads is dropped. */
const CHIP_BUFFER = 192;

export class VirtualSerial implements SerialPorts {
  readonly #usb: VirtualUsb;
  /** Programs outside the bench that hold a port, such as Klipper's service. */
  readonly #otherHolder: (device: Attachment) => string | undefined;

  constructor(usb: VirtualUsb, otherHolder: (device: Attachment) => string | undefined) {
    this.#usb = usb;
    this.#otherHolder = otherHolder;
  }

  async open(path: string): Promise<ByteChannel> {
    await Promise.resolve();
    const attachment = this.#usb.visible().find((a) => pathsOf(a).includes(path));
    if (attachment === undefined) {
      throw new OctopusError('no-hardware', `${path} does not exist`, {
        advice: 'Check the cable, and that the board runs a firmware that speaks USB.',
        place: path,
      });
    }
    if (attachment.state !== 'present') throw attachment.gone();
    if (this.#usb.clock.now() < attachment.openableAt) {
      throw new OctopusError('no-hardware', `${path}: permission denied`, {
        advice: 'Put this user into the group dialout.',
        place: path,
      });
    }
    const holder = attachment.opened ? 'another program' : this.#otherHolder(attachment);
    if (holder !== undefined) {
      throw new OctopusError('busy', `${path} is held by ${holder}`, {
        advice: `Stop ${holder} first.`,
        place: path,
      });
    }
    attachment.opened = true;
    return new VirtualTty(this.#usb, attachment);
  }

  async touch1200(path: string): Promise<void> {
    const port = await this.open(path);
    await port.close();
  }
}

function pathsOf(attachment: Attachment): string[] {
  const { ttyPath } = attachment;
  if (ttyPath === undefined) return [];
  const { manufacturer, product, serial } = attachment.info();
  // udev's 60-serial.rules; the interface is always the first.
  return [ttyPath, `/dev/serial/by-id/usb-${manufacturer}_${product}_${serial}-if00`];
}

class VirtualTty implements ByteChannel {
  readonly #usb: VirtualUsb;
  readonly #attachment: Attachment;
  #arrived: number[];
  #wake: () => void = () => {};
  #closed = false;

  constructor(usb: VirtualUsb, attachment: Attachment) {
    this.#usb = usb;
    this.#attachment = attachment;
    this.#arrived = attachment.unread;
    attachment.unread = [];
    attachment.fn.tty?.onBytes((bytes) => {
      if (this.#closed) {
        if (attachment.opened) return;
        attachment.unread = [...attachment.unread, ...bytes].slice(0, CHIP_BUFFER);
        return;
      }
      this.#arrived.push(...bytes);
      this.#wake();
    });
    attachment.onLeft(() => this.#wake());
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#check();
    const copy = bytes.slice();
    await Promise.resolve();
    if (this.#attachment.state === 'left') throw this.#attachment.gone();
    // Off the wire but not yet noticed: the kernel takes the bytes and they go nowhere.
    if (this.#attachment.state === 'present') this.#attachment.fn.tty?.write(copy);
  }

  async read(timeoutMs: number): Promise<Uint8Array | undefined> {
    this.#check();
    if (this.#arrived.length === 0 && this.#attachment.state !== 'left') {
      await new Promise<void>((resolve) => {
        const cancel = after(this.#usb.clock, timeoutMs, resolve);
        this.#wake = () => {
          cancel();
          resolve();
        };
      });
      this.#wake = () => {};
    }
    if (this.#arrived.length > 0) {
      const bytes = Uint8Array.from(this.#arrived);
      this.#arrived = [];
      return bytes;
    }
    if (this.#attachment.state === 'left') throw this.#attachment.gone();
    return undefined;
  }

  async close(): Promise<void> {
    await Promise.resolve();
    if (this.#closed) return;
    this.#closed = true;
    this.#wake();
    this.#attachment.opened = false;
    this.#usb.freeTty(this.#attachment);
  }

  #check(): void {
    if (!this.#closed) return;
    throw new OctopusError('internal', 'a serial port was used after it was closed', {
      advice: 'This is a fault of octopus-flasher: please report it.',
    });
  }
}
