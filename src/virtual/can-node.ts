// Virtual bench, CAN: a node on the wire, such as a toolhead board, well behaved or not.

import type { CanFrame } from '../ports/can.ts';
import { CanAdmin, type CanProgram } from './can-admin.ts';
import { CanController } from './can-controller.ts';
import type { CanWire } from './can-wire.ts';
import { after, type BenchClock } from './clock.ts';

export interface CanNodeOptions {
  /** 12 hex digits. Default: counted up. Give two nodes the same to make them alike. */
  readonly uuid?: string;
  /** Default `klipper`. */
  readonly runs?: CanProgram;
  /** The id that somebody has given it; without one it answers the query. */
  readonly nodeId?: number;
  /** Whether Katapult lies below Klipper. Without it a request for the bootloader does nothing. Default true. */
  readonly hasKatapult?: boolean;
  /** Default: that of the bus. */
  readonly bitrate?: number;
  readonly disturbs?: number;
  /** From the request to the answer. Default: what a main loop needs, a little different for each node. */
  readonly answerAfterMs?: number;
  /** How often it gives each answer. Default 1. */
  readonly answerTimes?: number;
  /** What it says instead of its answer. */
  readonly answer?: (plain: CanFrame) => readonly CanFrame[];
  /** Not on the wire until `powerOn`. */
  readonly isOff?: boolean;
}

/** A chip has three mailboxes and its firmware waits for a free one, so nothing is lost here either. */
const QUEUE_FRAMES = 64;
/** UNPROVEN: Klipper's main loop comes round in some ten microseconds. */
const LOOP_MS = 0.02;

export class CanNode {
  readonly admin: CanAdmin;
  readonly controller: CanController;
  readonly #options: CanNodeOptions;
  readonly #clock: BenchClock;
  readonly #answerAfterMs: number;
  readonly #rebootMs: number;
  #timers: (() => void)[] = [];

  constructor(
    around: { clock: BenchClock; wire: CanWire; bitrate: number; rebootMs: number },
    options: CanNodeOptions,
    index: number,
  ) {
    this.#options = options;
    this.#clock = around.clock;
    this.#rebootMs = around.rebootMs;
    this.#answerAfterMs = options.answerAfterMs ?? LOOP_MS * (index + 1);
    const uuid = options.uuid ?? (0x0a0b_0c00_0001 + index).toString(16).padStart(12, '0');
    this.admin = new CanAdmin(uuid, options.runs ?? 'klipper', options.nodeId ?? 0, () => this.#bootloader());
    this.controller = new CanController(around.wire, {
      bitrate: options.bitrate ?? around.bitrate,
      queueLength: QUEUE_FRAMES,
      onFrame: (frame) => this.#receive(frame),
      ...(options.disturbs === undefined ? {} : { disturbs: options.disturbs }),
    });
    if (options.isOff === true) this.controller.leave();
  }

  /** Says something by itself, as a node does that has an id. */
  say(frame: CanFrame): boolean {
    return this.controller.send(frame);
  }

  powerOff(): void {
    for (const cancel of this.#timers.splice(0)) cancel();
    this.controller.leave();
    this.admin.nodeId = 0;
    this.admin.hasConflict = false;
  }

  powerOn(): void {
    this.controller.restart();
  }

  #receive(frame: CanFrame): void {
    const plain = this.admin.receive(frame);
    if (plain === undefined) return;
    const answers = this.#options.answer?.(plain) ?? [plain];
    const times = this.#options.answerTimes ?? 1;
    this.#later(this.#answerAfterMs, () => {
      for (let n = 0; n < times; n++) for (const answer of answers) this.controller.send(answer);
    });
  }

  #bootloader(): void {
    if (this.#options.hasKatapult === false) return;
    this.powerOff();
    this.#later(this.#rebootMs, () => {
      this.admin.program = 'katapult';
      this.powerOn();
    });
  }

  #later(ms: number, action: () => void): void {
    const cancel = after(this.#clock, ms, () => {
      this.#timers = this.#timers.filter((timer) => timer !== cancel);
      action();
    });
    this.#timers.push(cancel);
  }
}
