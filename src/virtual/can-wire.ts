// Virtual bench, CAN: the two wires. Who may speak, who acknowledges, and what is destroyed.

import type { CanFrame } from '../ports/can.ts';
import type { CanController } from './can-controller.ts';
import { after, type BenchClock } from './clock.ts';

/** Standard data frame with interframe space: 47 bits beside the data (Bosch CAN 2.0, part A, 3.1 and 3.2). */
const FRAME_BITS = 47;
/** Of them start, identifier, control and CRC are stuffed: at worst a bit for each four behind the first (5). */
const STUFFED_BITS = 34;
/** Error flag, at worst answered by others' flags, and delimiter (Bosch CAN 2.0, part A, 3.1.3). */
const ERROR_BITS = 12 + 8;

/**
 * What becomes of one frame that its sender takes for sent: nobody hears it (a controller that overruns, a driver that
 * drops), everybody hears it twice (a sender that missed its acknowledgement), a byte of its data is another (no CRC is
 * perfect, and no software), the second half of its data is missing, or it comes late and all others behind it.
 */
export type FrameFault = 'lost' | 'doubled' | 'corrupted' | 'cut' | { readonly lateMs: number };

export interface CanFaults {
  /** Called for each frame that comes through, whoever sends it; `n` counts from 1 over the wire's life. */
  onFrame?: ((n: number, frame: CanFrame) => FrameFault | undefined) | undefined;
}

export class CanWire {
  readonly faults: CanFaults = {};
  readonly #clock: BenchClock;
  readonly #controllers = new Set<CanController>();
  #busy = false;
  #frames = 0;
  /** Of the frame that has just come through: nothing overtakes it. */
  #lateMs = 0;

  constructor(clock: BenchClock) {
    this.#clock = clock;
  }

  attach(controller: CanController): void {
    this.#controllers.add(controller);
    this.kick();
  }

  /** Its frame in flight, if any, is cut off. */
  detach(controller: CanController): void {
    this.#controllers.delete(controller);
  }

  /** How many frames have come through. */
  get frames(): number {
    return this.#frames;
  }

  isAttached(controller: CanController): boolean {
    return this.#controllers.has(controller);
  }

  /** Somebody has something to say, or somebody came who may acknowledge. */
  kick(): void {
    if (this.#busy) return;
    this.#busy = true;
    // All that wait at this moment begin together.
    after(this.#clock, 0, () => this.#arbitrate());
  }

  #arbitrate(): void {
    const waiting = [...this.#controllers].flatMap((controller) => {
      const frame = controller.head;
      return frame === undefined ? [] : [{ controller, frame }];
    });
    // A dominant bit is a 0: the lowest identifier stays. The loser says nothing and waits.
    const best = Math.min(...waiting.map(({ frame }) => frame.id));
    const senders = waiting.filter(({ frame }) => frame.id === best);
    const [first] = senders;
    if (first === undefined) {
      this.#busy = false;
      return;
    }
    const bits = frameBits(first.frame) * (1000 / first.controller.bitrate);
    after(this.#clock, bits, () => this.#end(senders, first.controller.bitrate));
  }

  #end(began: readonly Sender[], bitrate: number): void {
    const senders = began.filter(({ controller, frame }) => controller.head === frame);
    const others = [...this.#controllers].filter(
      (one) => one.isOnBus && !began.some(({ controller }) => controller === one),
    );
    const outcome = this.#judge(senders, others, bitrate);
    const pause = outcome === 'sent' ? this.#lateMs : ERROR_BITS * (1000 / bitrate);
    this.#lateMs = 0;
    after(this.#clock, pause, () => {
      this.#busy = false;
      // A transmitter that nobody hears and that is error passive says the same for ever: nothing changes until
      // somebody comes or speaks, so no time is spent on it here.
      const isParked =
        outcome === 'no-acknowledge' && senders.every(({ controller }) => controller.isPassive);
      if (!isParked) this.kick();
    });
  }

  #judge(senders: readonly Sender[], others: readonly CanController[], bitrate: number): Outcome {
    if (senders.length === 0) return 'disturbed';
    // At another bitrate the frame is noise, which an active node answers with dominant error flags.
    const strangers = [...others, ...senders.map(({ controller }) => controller)].filter(
      (one) => one.bitrate !== bitrate && one.mayDisturb,
    );
    for (const stranger of strangers) stranger.disturbed += 1;
    // Equal identifiers survive arbitration. At the first bit that differs, whoever sent the recessive one sees an error.
    const [strongest] = [...senders].sort((a, b) => compareContent(a.frame, b.frame));
    const beaten = senders.filter(
      ({ controller, frame }) =>
        controller.bitrate === bitrate && compareContent(frame, strongest?.frame ?? frame) !== 0,
    );
    if (strangers.length > 0 || beaten.some(({ controller }) => !controller.isPassive)) {
      for (const { controller } of senders) controller.failed('disturbed');
      return 'disturbed';
    }
    // An error passive one cannot destroy what the stronger one goes on to say.
    for (const { controller } of beaten) controller.failed('disturbed');
    const foreign = senders.filter(({ controller }) => controller.bitrate !== bitrate);
    for (const { controller } of foreign) controller.failed('disturbed');
    const heard = senders.filter((one) => !beaten.includes(one) && !foreign.includes(one));
    const listeners = others.filter((one) => one.bitrate === bitrate);
    if (listeners.length === 0) {
      for (const { controller } of heard) controller.failed('no-acknowledge');
      return beaten.length + foreign.length > 0 ? 'disturbed' : 'no-acknowledge';
    }
    for (const { controller } of heard) controller.succeeded();
    const [frame] = heard.map((one) => one.frame);
    // Two that say the same at the same time are heard once.
    if (frame !== undefined) this.#deliver(frame, listeners);
    return 'sent';
  }

  #deliver(frame: CanFrame, listeners: readonly CanController[]): void {
    const hear = (frames: readonly CanFrame[]): void => {
      for (const heard of frames)
        for (const listener of listeners) if (listener.isOnBus) listener.receive(heard);
    };
    this.#frames += 1;
    const fault = this.faults.onFrame?.(this.#frames, frame);
    if (typeof fault !== 'object') {
      hear(spoilt(frame, fault));
      return;
    }
    this.#lateMs = fault.lateMs;
    after(this.#clock, fault.lateMs, () => hear([frame]));
  }
}

interface Sender {
  readonly controller: CanController;
  readonly frame: CanFrame;
}
type Outcome = 'sent' | 'no-acknowledge' | 'disturbed';

function spoilt(frame: CanFrame, fault: Exclude<FrameFault, object> | undefined): readonly CanFrame[] {
  const { id, data } = frame;
  switch (fault) {
    case undefined:
      return [frame];
    case 'lost':
      return [];
    case 'doubled':
      return [frame, frame];
    case 'corrupted': {
      const at = data.length >> 1;
      return [{ id, data: data.map((byte, index) => (index === at ? byte ^ 0x10 : byte)) }];
    }
    case 'cut':
      return [{ id, data: data.slice(0, data.length >> 1) }];
  }
}

export function frameBits(frame: CanFrame): number {
  const dataBits = 8 * frame.data.length;
  return FRAME_BITS + dataBits + Math.floor((STUFFED_BITS + dataBits - 1) / 4);
}

/** In the order of the wire: the length code, then the data, high bits first. */
function compareContent(a: CanFrame, b: CanFrame): number {
  if (a.data.length !== b.data.length) return a.data.length - b.data.length;
  const at = a.data.findIndex((byte, index) => byte !== b.data[index]);
  return at < 0 ? 0 : (a.data[at] ?? 0) - (b.data[at] ?? 0);
}
