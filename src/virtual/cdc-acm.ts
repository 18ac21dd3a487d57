// Virtual bench, the host's driver of a tty: what linux drivers/usb/class/cdc-acm.c makes of open, write and close.

import { OctopusError } from '../errors.ts';
import { after } from './clock.ts';
import type { Attachment } from './usb-attachment.ts';
import type { VirtualUsb } from './usb-bus.ts';
import type { SetupPacket } from './usb-function.ts';

const PACKET = 64;
/** cdc-acm.h and acm_probe: URBs for writing, the size of each, and the size of those for reading. */
const ACM_NW = 16;
const WRITE_BYTES = 20 * PACKET;
const READ_BYTES = 2 * PACKET;
/** acm_ctrl_msg gives up then, and the driver goes on without a word. */
const CONTROL_TIMEOUT_MS = 5000;
/** 19 bulk packets of 64 bytes fit a full-speed frame of 1 ms (USB 2.0 table 5-9). */
const PACKET_MS = 1 / 19;
/** How long the real adapter waits for a device that takes nothing. */
const WRITE_TIMEOUT_MS = 2000;

/** PSTN 1.2 table 13, 6.3.10 and 6.3.12. */
const SET_LINE_CODING = 0x20;
const SET_CONTROL_LINE_STATE = 0x22;
const DTR_AND_RTS = 3;
const NO_DATA = new Uint8Array(0);

export class AcmPort {
  /** What has arrived and nobody has read. */
  readonly arrived: number[] = [];
  onArrival: () => void = () => {};
  readonly #usb: VirtualUsb;
  readonly #attachment: Attachment;
  readonly #stopListening: () => void;
  /** Writes that the driver has taken and the chip has not. */
  #urbs = 0;
  #urbDone: (() => void)[] = [];
  #turn: Promise<void> = Promise.resolve();
  /** Packets in the read URB that is being filled: only a short packet or a full URB brings them to the program. */
  #partial: number[] = [];
  #isReading = false;
  #isClosed = false;
  readonly #killed = new AbortController();

  constructor(usb: VirtualUsb, attachment: Attachment) {
    this.#usb = usb;
    this.#attachment = attachment;
    const forget = attachment.fn.pipes?.onReady(() => void this.#read()) ?? ((): void => {});
    this.#stopListening = forget;
    attachment.onLeft(() => {
      for (const done of this.#urbDone.splice(0)) done();
    });
  }

  /** DTR and RTS rise, then the speed is told. */
  async activate(baud: number): Promise<void> {
    await this.#control(SET_CONTROL_LINE_STATE, DTR_AND_RTS, NO_DATA);
    const coding = new Uint8Array(7);
    new DataView(coding.buffer).setUint32(0, baud, true);
    // One stop bit, no parity, 8 data bits.
    coding.set([0, 0, 8], 4);
    await this.#control(SET_LINE_CODING, 0, coding);
    void this.#read();
  }

  /** Resolves when the driver has taken it, which is before the chip has. Throws `usb-timeout` where it cannot. */
  async write(bytes: Uint8Array, path: string): Promise<void> {
    for (let at = 0; at < bytes.length; at += WRITE_BYTES) {
      if (this.#urbs >= ACM_NW && !(await this.#urbFree())) {
        throw new OctopusError('usb-timeout', `${path} took no bytes for ${WRITE_TIMEOUT_MS} ms`, {
          place: path,
          advice: 'The firmware does not read: reset the board.',
        });
      }
      if (!this.#isPresent) return;
      this.#submit(bytes.slice(at, at + WRITE_BYTES));
    }
  }

  /** Kills all URBs: what the chip has not taken it never gets, even in the middle of a write. */
  async shutdown(dropsDtr: boolean): Promise<void> {
    if (dropsDtr) await this.#control(SET_CONTROL_LINE_STATE, 0, NO_DATA);
    this.#isClosed = true;
    this.#killed.abort();
    this.#stopListening();
  }

  get #isPresent(): boolean {
    return this.#attachment.state === 'present';
  }

  #submit(bytes: Uint8Array): void {
    this.#urbs++;
    const isIdle = this.#urbs === 1;
    const carry = async (): Promise<void> => {
      if (isIdle) await this.#takes(this.#usb.times.transferMs);
      await this.#carry(bytes);
      this.#urbs--;
      this.#urbDone.shift()?.();
    };
    this.#turn = this.#turn.then(carry);
  }

  async #carry(bytes: Uint8Array): Promise<void> {
    const { pipes, tty } = this.#attachment.fn;
    if (pipes === undefined || tty === undefined || !this.#isPresent || this.#isClosed) return;
    await this.#takes(this.#wireMs(bytes.length));
    if (this.#isPresent && !this.#isClosed) await pipes.out(tty.out, bytes, this.#killed.signal);
  }

  async #read(): Promise<void> {
    const { pipes, tty } = this.#attachment.fn;
    if (this.#isReading || pipes === undefined || tty === undefined) return;
    this.#isReading = true;
    for (let isFirst = true; this.#isPresent && !this.#isClosed; isFirst = false) {
      const packet = pipes.take(tty.into);
      if (packet === undefined) break;
      await this.#takes(this.#wireMs(packet.length) + (isFirst ? this.#usb.times.transferMs : 0));
      await this.#takes(this.#attachment.answersFrom - this.#usb.clock.now());
      this.#partial.push(...packet);
      if (packet.length === PACKET && this.#partial.length < READ_BYTES) continue;
      this.arrived.push(...this.#partial.splice(0));
      this.onArrival();
    }
    this.#isReading = false;
  }

  /** A host without times of its own lets the wire be as fast as it likes. */
  #wireMs(length: number): number {
    return this.#usb.times.transferMs > 0 ? Math.ceil(length / PACKET) * PACKET_MS : 0;
  }

  async #takes(ms: number): Promise<void> {
    if (ms > 0) await this.#usb.clock.sleep(ms);
  }

  #urbFree(): Promise<boolean> {
    return new Promise((resolve) => {
      const cancel = after(this.#usb.clock, WRITE_TIMEOUT_MS, () => resolve(false));
      this.#urbDone.push(() => {
        cancel();
        resolve(true);
      });
    });
  }

  async #control(bRequest: number, wValue: number, data: Uint8Array): Promise<void> {
    if (!this.#isPresent) return;
    const setup: SetupPacket = { bmRequestType: 0x21, bRequest, wValue, wIndex: 0, wLength: data.length };
    await this.#takes(this.#usb.times.transferMs);
    await new Promise<void>((resolve) => {
      const cancel = after(this.#usb.clock, CONTROL_TIMEOUT_MS, resolve);
      const end = (): void => {
        cancel();
        forget();
        resolve();
      };
      const forget = this.#attachment.onLeft(end);
      this.#attachment.fn.control(setup, data).then(end, end);
    });
  }
}
