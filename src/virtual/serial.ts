// Virtual bench, port SerialPorts: the tty of a CDC-ACM device, for one program at a time.

import { OctopusError } from '../errors.ts';
import type { ByteChannel, SerialPorts } from '../ports/bytes.ts';
import { AcmPort } from './cdc-acm.ts';
import { after } from './clock.ts';
import type { Attachment } from './usb-attachment.ts';
import type { VirtualUsb } from './usb-bus.ts';

/** Klipper's usual speed, as the real adapter sets it, and the one that asks for the bootloader. */
const BAUD = 250_000;
const TOUCH_BAUD = 1200;

export class VirtualSerial implements SerialPorts {
  readonly #usb: VirtualUsb;
  /** Programs outside the bench that hold a port, such as Klipper's service. */
  readonly #otherHolder: (device: Attachment) => string | undefined;

  constructor(usb: VirtualUsb, otherHolder: (device: Attachment) => string | undefined) {
    this.#usb = usb;
    this.#otherHolder = otherHolder;
  }

  async open(path: string): Promise<ByteChannel> {
    const { attachment, port } = await this.#take(path, BAUD);
    return new VirtualTty(this.#usb, attachment, port, path);
  }

  /** 1200 baud, and DTR falls with the last close: linux drivers/tty/tty_port.c, tty_port_lower_dtr_rts. */
  async touch1200(path: string): Promise<void> {
    const { attachment, port } = await this.#take(path, TOUCH_BAUD);
    // The device may be gone before this returns: that is what was asked for.
    await port.shutdown(true);
    attachment.opened = false;
    this.#usb.freeTty(attachment);
  }

  async #take(path: string, baud: number): Promise<{ attachment: Attachment; port: AcmPort }> {
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
    const port = new AcmPort(this.#usb, attachment);
    await port.activate(baud);
    return { attachment, port };
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
  readonly #port: AcmPort;
  readonly #path: string;
  #wake: () => void = () => {};
  #closed = false;

  constructor(usb: VirtualUsb, attachment: Attachment, port: AcmPort, path: string) {
    this.#usb = usb;
    this.#attachment = attachment;
    this.#port = port;
    this.#path = path;
    port.onArrival = () => this.#wake();
    attachment.onLeft(() => this.#wake());
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#check();
    const copy = bytes.slice();
    await Promise.resolve();
    if (this.#hasLeft) throw this.#attachment.gone();
    // Off the wire but not yet noticed: the kernel takes the bytes and they go nowhere.
    await this.#port.write(copy, this.#path);
    if (this.#hasLeft) throw this.#attachment.gone();
  }

  async read(timeoutMs: number): Promise<Uint8Array | undefined> {
    this.#check();
    const { arrived } = this.#port;
    if (arrived.length === 0 && !this.#hasLeft) {
      await new Promise<void>((resolve) => {
        const cancel = after(this.#usb.clock, timeoutMs, resolve);
        this.#wake = () => {
          cancel();
          resolve();
        };
      });
      this.#wake = () => {};
    }
    if (arrived.length > 0) return Uint8Array.from(arrived.splice(0));
    if (this.#hasLeft) throw this.#attachment.gone();
    return undefined;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#wake();
    await this.#port.shutdown(false);
    this.#attachment.opened = false;
    this.#usb.freeTty(this.#attachment);
  }

  get #hasLeft(): boolean {
    return this.#attachment.state === 'left';
  }

  #check(): void {
    if (!this.#closed) return;
    throw new OctopusError('internal', 'a serial port was used after it was closed', {
      advice: 'This is a fault of octopus-flasher: please report it.',
    });
  }
}
