// Virtual bench, CAN: one chip's controller with its transmit queue and its error counter.

import type { CanFrame } from '../ports/can.ts';
import type { CanWire } from './can-wire.ts';

/** Fault confinement (Bosch CAN 2.0, part A, 8): error passive from 128, bus-off from 256; a failure adds 8. */
const PASSIVE_FROM = 128;
const BUS_OFF_FROM = 256;
const FAILURE_ADDS = 8;

export interface ControllerSettings {
  readonly bitrate: number;
  /** Frames that may wait, the one on the wire included. */
  readonly queueLength: number;
  /**
   * How many frames of another bitrate it destroys before its receive counter makes it passive. UNPROVEN: by the
   * rules a few; a node that is reset again and again never stops, and that is what is assumed.
   */
  readonly disturbs?: number;
  readonly onFrame?: (frame: CanFrame) => void;
  readonly onTrouble?: (trouble: 'no-acknowledge' | 'disturbed' | 'bus-off') => void;
  readonly onSent?: (frame: CanFrame) => void;
}

export class CanController {
  #bitrate: number;
  /** Frames of others that it has destroyed. */
  disturbed = 0;
  transmitErrors = 0;
  readonly #wire: CanWire;
  readonly #settings: ControllerSettings;
  #queue: CanFrame[] = [];

  constructor(wire: CanWire, settings: ControllerSettings) {
    this.#bitrate = settings.bitrate;
    this.#wire = wire;
    this.#settings = settings;
    wire.attach(this);
  }

  get bitrate(): number {
    return this.#bitrate;
  }

  /** Another program, built for another bus. */
  retune(bitrate: number): void {
    this.#bitrate = bitrate;
  }

  get isOnBus(): boolean {
    return !this.isBusOff && this.#wire.isAttached(this);
  }

  get isBusOff(): boolean {
    return this.transmitErrors >= BUS_OFF_FROM;
  }

  get isPassive(): boolean {
    return this.transmitErrors >= PASSIVE_FROM;
  }

  get mayDisturb(): boolean {
    return !this.isPassive && this.disturbed < (this.#settings.disturbs ?? Infinity);
  }

  /** What it says next; nothing while it is off the bus. */
  get head(): CanFrame | undefined {
    return this.isOnBus ? this.#queue[0] : undefined;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /** False when its queue is full: the frame is not taken. */
  send(frame: CanFrame): boolean {
    if (this.#queue.length >= this.#settings.queueLength) return false;
    this.#queue.push(frame);
    this.#wire.kick();
    return true;
  }

  /** What waits behind the frame on the wire is thrown away. */
  dropWaiting(): void {
    this.#queue.length = Math.min(1, this.#queue.length);
  }

  receive(frame: CanFrame): void {
    this.#settings.onFrame?.({ id: frame.id, data: Uint8Array.from(frame.data) });
  }

  succeeded(): void {
    const frame = this.#queue.shift();
    this.transmitErrors = Math.max(0, this.transmitErrors - 1);
    if (frame !== undefined) this.#settings.onSent?.(frame);
  }

  failed(why: 'no-acknowledge' | 'disturbed'): void {
    // Who is passive and only misses the acknowledgement does not count on: a lone node never goes bus-off
    // (Bosch CAN 2.0, part A, 8, rule 3, exception 1).
    if (!(why === 'no-acknowledge' && this.isPassive)) this.transmitErrors += FAILURE_ADDS;
    this.#settings.onTrouble?.(why);
    if (!this.isBusOff) return;
    this.#queue = [];
    this.#settings.onTrouble?.('bus-off');
  }

  /** As after a reset. */
  restart(): void {
    this.transmitErrors = 0;
    this.disturbed = 0;
    this.#queue = [];
    this.#wire.attach(this);
  }

  /** Off the wire: no power, in reset, unplugged. */
  leave(): void {
    this.#queue = [];
    this.#wire.detach(this);
  }
}
