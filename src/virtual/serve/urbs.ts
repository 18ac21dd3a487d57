// Virtual board for other programs: the transfers that somebody's kernel has under way with one device.

import type { TransferFault } from '../usb-bus.ts';
import type { SetupPacket, UsbFunction } from '../usb-function.ts';

export interface Urb {
  /** As in the descriptors: 0x83 is IN, number 3; 0 and 0x80 are endpoint 0. */
  readonly address: number;
  /** Endpoint 0 only. */
  readonly setup?: SetupPacket;
  /** Host to device. */
  readonly data: Uint8Array;
  /** Device to host: how much the host has room for. */
  readonly length: number;
}

/** `gone`: the device is off the bus; it never answers. */
export type UrbResult = { readonly status: 'ok' | 'stall' | 'gone'; readonly bytes: Uint8Array };

interface Waiting {
  readonly urb: Urb;
  readonly done: (result: UrbResult) => void;
  /** IN: what packets have brought so far. */
  readonly bytes: number[];
  /** OUT: called off in the middle. */
  readonly abort: AbortController;
}

/** What a test lets go wrong with a control transfer; unplugging and power cuts are done by whoever plans them. */
export type PlannedFault = (
  setup: SetupPacket,
  data: Uint8Array,
) => Exclude<TransferFault, 'unplug' | 'power-cut'> | undefined;

const NOTHING = new Uint8Array(0);
/** Full speed: bulk packets of 64 bytes; a shorter one ends a transfer (USB 2.0, 5.8.3). */
const PACKET = 64;

export class Urbs {
  readonly #fn: UsbFunction;
  readonly #isOnWire: () => boolean;
  readonly #plannedFault: PlannedFault;
  /** All that the host waits for, in its order. */
  readonly #waiting = new Set<Waiting>();
  readonly #forget: () => void;
  /** Endpoint 0, and each OUT endpoint: one transfer after the other. */
  readonly #turns = new Map<number, Promise<unknown>>();
  #isOver = false;
  #isDelivering = false;
  #isDue = false;

  /** @param isOnWire false as soon as the chip's pull-up is gone, before any kernel knows */
  constructor(fn: UsbFunction, isOnWire: () => boolean, plannedFault: PlannedFault = () => undefined) {
    this.#fn = fn;
    this.#isOnWire = isOnWire;
    this.#plannedFault = plannedFault;
    this.#forget = fn.pipes?.onReady(() => this.#deliver()) ?? ((): void => {});
  }

  /** @returns calls the transfer off; true when it was still under way, and `done` is not called then */
  submit(urb: Urb, done: (result: UrbResult) => void): () => boolean {
    const waiting: Waiting = { urb, done, bytes: [], abort: new AbortController() };
    if (this.#isOver) {
      done({ status: 'gone', bytes: NOTHING });
      return () => false;
    }
    this.#waiting.add(waiting);
    const number = urb.address & 0x0f;
    if (number === 0) this.#control(waiting);
    else if (this.#fn.pipes === undefined) this.#end(waiting, 'stall', NOTHING);
    else if ((urb.address & 0x80) === 0) this.#out(waiting);
    else this.#deliver();
    return () => {
      const wasUnderWay = this.#waiting.delete(waiting);
      if (wasUnderWay) waiting.abort.abort();
      return wasUnderWay;
    };
  }

  /** The kernel has noticed that the device left: everything under way ends. */
  close(): void {
    this.#isOver = true;
    this.#forget();
    for (const waiting of this.#waiting) this.#end(waiting, 'gone', NOTHING);
  }

  #end(waiting: Waiting, status: UrbResult['status'], bytes: Uint8Array): void {
    if (this.#waiting.delete(waiting)) waiting.done({ status, bytes });
  }

  #control(waiting: Waiting): void {
    const { setup, data } = waiting.urb;
    if (setup === undefined) {
      this.#end(waiting, 'stall', NOTHING);
      return;
    }
    this.#inTurn(0, waiting, async () => {
      const fault = this.#plannedFault(setup, data);
      if (fault === 'stall') return { status: 'stall', bytes: NOTHING };
      // The host gives up when it likes.
      if (fault === 'timeout' || !this.#isOnWire()) return undefined;
      const answer = await this.#fn.control(setup, data);
      if (fault === 'lost-answer') return undefined;
      if (answer === 'stall') return { status: 'stall', bytes: NOTHING };
      return { status: 'ok', bytes: answer.slice(0, Math.min(setup.wLength, waiting.urb.length)) };
    });
  }

  #out(waiting: Waiting): void {
    const { pipes } = this.#fn;
    this.#inTurn(waiting.urb.address, waiting, async () => {
      const { urb, abort } = waiting;
      const status = (await pipes?.out(urb.address, urb.data, abort.signal)) ?? 'stall';
      return { status, bytes: NOTHING };
    });
  }

  /** What was called off before its turn never reaches the chip; what began on endpoint 0 is ended by the chip. */
  #inTurn(queue: number, waiting: Waiting, perform: () => Promise<UrbResult | undefined>): void {
    const before = this.#turns.get(queue) ?? Promise.resolve();
    const turn = async (): Promise<void> => {
      await before;
      if (!this.#waiting.has(waiting) || !this.#isOnWire()) return;
      const result = await perform();
      // Off the wire meanwhile: nobody hears the answer, and the transfer ends with the device.
      if (result !== undefined && this.#isOnWire()) this.#end(waiting, result.status, result.bytes);
    };
    this.#turns.set(
      queue,
      turn().catch(() => this.#end(waiting, 'stall', NOTHING)),
    );
  }

  /** A packet that is taken makes room for the next, and that is told before the first has been put down. */
  #deliver(): void {
    this.#isDue = true;
    if (this.#isDelivering) return;
    this.#isDelivering = true;
    while (this.#isDue) {
      this.#isDue = false;
      for (const waiting of this.#waiting) this.#fill(waiting);
    }
    this.#isDelivering = false;
  }

  #fill(waiting: Waiting): void {
    const { pipes } = this.#fn;
    const { urb, bytes } = waiting;
    if (pipes === undefined || (urb.address & 0x80) === 0 || (urb.address & 0x0f) === 0) return;
    while (this.#isOnWire() && this.#waiting.has(waiting)) {
      const packet = pipes.take(urb.address);
      if (packet === undefined) break;
      bytes.push(...packet);
      const isWhole = packet.length < PACKET || bytes.length >= urb.length;
      if (isWhole) this.#end(waiting, 'ok', Uint8Array.from(bytes.slice(0, urb.length)));
    }
  }
}
