// Virtual bench, CAN firmware: a stream of bytes over frames, with the buffers that Klipper and Katapult have for it and
// what they drop (Klipper and Katapult src/generic/canserial.c; the controller's FIFO: src/stm32/can.c and fdcan.c).

import type { CanFrame } from '../ports/can.ts';
import type { CanAdmin } from './can-admin.ts';
import { after, type BenchClock } from './clock.ts';

const RECEIVE_BUFFER = 192;
const ADMIN_QUEUE = 8;
const FRAME_BYTES = 8;
/** Transmit mailboxes, and frames in the receive FIFO: three each in bxCAN, FDCAN and as can2040 is used. */
const MAILBOXES = 3;
const FIFO_FRAMES = 3;

/** What the program makes of the front of the receive buffer: see `KatapultFirmware.step`. */
export interface SerialStep {
  readonly took: number;
  readonly ret: -1 | 0 | 1;
}

export interface SerialParts {
  readonly clock: BenchClock;
  readonly admin: CanAdmin;
  /** Until the main loop looks at what has come. */
  readonly loopMs: number;
  /** transmit_buf: 192 in Klipper, 96 in Katapult. */
  readonly transmitBytes: number;
  readonly step: (buffer: Uint8Array) => SerialStep | Promise<SerialStep>;
  /** No step helps any more until bytes come. */
  readonly isStuck?: () => boolean;
  /** The core stands still, interrupts and all: frames stay in the controller. */
  readonly isStalled?: () => boolean;
  /** Frames that the controller holds. */
  readonly waiting: () => number;
  readonly send: (frame: CanFrame) => void;
  /** The answer to an admin frame. */
  readonly answer: (frame: CanFrame) => void;
}

export class CanSerial {
  readonly #parts: SerialParts;
  #fifo: CanFrame[] = [];
  #admin: CanFrame[] = [];
  #received = new Uint8Array(0);
  #transmit: number[] = [];
  #isAwake = false;
  /** rx_wake: something has come since the main loop looked last. */
  #hasCome = false;
  #isStopped = false;
  #cancel: () => void = () => {};

  constructor(parts: SerialParts) {
    this.#parts = parts;
  }

  /** Bytes that wait for the program. */
  get waiting(): number {
    return this.#received.length;
  }

  /** A frame of the bus. */
  receive(frame: CanFrame): void {
    if (this.#isStopped) return;
    if (this.#parts.isStalled?.() !== true) {
      this.#drain();
      this.#interrupt(frame);
      return;
    }
    const { admin } = this.#parts;
    if (frame.id !== admin.dataId && !admin.isFor(frame)) return;
    // Overrun: without the FIFO lock the newest takes the place of the one before it (RM0091 section 30.7.5). FDCAN
    // drops the newest (RM0444 section 36.3.5); either way a frame is gone and nobody knows.
    if (this.#fifo.length >= FIFO_FRAMES) this.#fifo.pop();
    this.#fifo.push(frame);
  }

  /** console_sendf: a whole message or nothing. */
  respond(message: Uint8Array): void {
    if (this.#isStopped || this.#transmit.length + message.length > this.#parts.transmitBytes) return;
    this.#transmit.push(...message);
  }

  /** A mailbox is free again, or there is something to say. */
  pump(): void {
    const { admin, send, waiting } = this.#parts;
    const { dataId } = admin;
    if (dataId === undefined) this.#transmit = [];
    else {
      while (this.#transmit.length > 0 && waiting() < MAILBOXES)
        send({ id: dataId + 1, data: Uint8Array.from(this.#transmit.splice(0, FRAME_BYTES)) });
    }
  }

  /** Reset or power falls. */
  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  #drain(): void {
    for (const frame of this.#fifo.splice(0)) this.#interrupt(frame);
  }

  #interrupt(frame: CanFrame): void {
    const { admin } = this.#parts;
    if (frame.id === admin.dataId) {
      // A frame that finds no room is dropped whole, and its neighbours close up.
      if (frame.data.length > RECEIVE_BUFFER - this.#received.length) return;
      this.#received = Uint8Array.of(...this.#received, ...frame.data);
    } else {
      // The filter lets nothing through that is for others; where one comes all the same, it takes no place.
      const isFull = this.#admin.filter((one) => admin.isFor(one)).length >= ADMIN_QUEUE;
      if (isFull && admin.isFor(frame)) return;
      this.#admin.push(frame);
    }
    this.#wake();
  }

  #wake(): void {
    this.#hasCome = true;
    if (this.#isAwake) return;
    this.#isAwake = true;
    this.#cancel = after(this.#parts.clock, this.#parts.loopMs, () => void this.#turn());
  }

  /** canserial_rx_task, then canserial_tx_task: admin frames first, then one look at the bytes. */
  async #turn(): Promise<void> {
    const { admin, answer, isStuck, step } = this.#parts;
    this.#hasCome = false;
    for (const frame of this.#admin.splice(0)) {
      const told = admin.receive(frame);
      // A request for the bootloader is the end of this program.
      if (this.#isStopped) return;
      if (told !== undefined) answer(told);
    }
    const { took, ret } = await step(this.#received);
    if (this.#isStopped) return;
    if (ret !== 0) this.#received = this.#received.slice(took);
    this.#drain();
    this.pump();
    this.#isAwake = false;
    const hasMore = ret !== 0 && this.#received.length > 0 && isStuck?.() !== true;
    if (hasMore || this.#hasCome) this.#wake();
  }
}
