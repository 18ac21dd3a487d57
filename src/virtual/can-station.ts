// Virtual bench, CAN: what a chip is on the bus while a program of a CAN build runs on it; a board's or a toolhead's.

import type { CanFrame } from '../ports/can.ts';
import { CanAdmin } from './can-admin.ts';
import { CanController } from './can-controller.ts';
import type { CanGuest } from './can-guest.ts';
import { CanSerial, type SerialParts } from './can-serial.ts';
import type { CanWire } from './can-wire.ts';
import type { BenchClock } from './clock.ts';
import type { KatapultFirmware } from './katapult/firmware.ts';
import { KlipperMcu } from './klipper-mcu.ts';

/** Of the test's own: a chip has three mailboxes, and its firmware keeps what finds none free. */
const QUEUE_FRAMES = 64;
/** UNPROVEN: a main loop comes round in some ten microseconds. */
export const LOOP_MS = 0.02;
/** transmit_buf of src/generic/canserial.c: Klipper's, Katapult's. */
export const KLIPPER_TRANSMIT = 192;
const KATAPULT_TRANSMIT = 96;

export interface StationOptions {
  /** 12 hex digits. */
  readonly uuid: string;
  /** What a Katapult speaks; a Klipper names its own in its dictionary. */
  readonly bitrate: number;
  readonly disturbs?: number;
  readonly loopMs?: number;
  /** Whether the core stands still, interrupts and all, while Katapult's flash works. Default: it does. */
  readonly stops?: () => boolean;
  /** The id that a Klipper of the bench gives it, or 0: it has it as soon as it is up. */
  readonly ownedId?: () => number;
  readonly onAssigned?: () => void;
  /** What it says to an answered admin frame. */
  readonly answers?: (plain: CanFrame) => readonly CanFrame[];
}

export class CanStation {
  readonly admin: CanAdmin;
  readonly controller: CanController;
  readonly #clock: BenchClock;
  readonly #options: StationOptions;
  #serial: CanSerial | undefined;
  #guest: CanGuest | undefined;
  #klipper: KlipperMcu | undefined;

  constructor(around: { readonly clock: BenchClock; readonly wire: CanWire }, options: StationOptions) {
    this.#clock = around.clock;
    this.#options = options;
    this.admin = new CanAdmin(options.uuid, {
      reboot: () => {
        if (this.#guest?.kind === 'klipper') this.#guest.requestBootloader();
      },
      conflict: () => this.#klipper?.shutdown(),
      assigned: () => options.onAssigned?.(),
    });
    this.controller = new CanController(around.wire, {
      bitrate: options.bitrate,
      queueLength: QUEUE_FRAMES,
      onFrame: (frame) => {
        this.#own();
        this.#serial?.receive(frame);
      },
      onSent: () => this.#serial?.pump(),
      ...(options.disturbs === undefined ? {} : { disturbs: options.disturbs }),
    });
    this.controller.leave();
  }

  /** Klipper has shut down for whatever reason. */
  get isShutDown(): boolean {
    return this.#klipper?.shutDown === true;
  }

  /** A program's controller is up. What is returned takes it off the wire. */
  join(guest: CanGuest): () => void {
    this.#guest = guest;
    this.admin.start(guest.kind);
    const serial = guest.kind === 'klipper' ? this.#klipperSerial(guest) : this.#katapultSerial(guest);
    this.#serial = serial;
    this.controller.retune(this.#bitrateOf(guest));
    this.controller.restart();
    return () => {
      serial.stop();
      if (this.#serial !== serial) return;
      this.#serial = undefined;
      this.#guest = undefined;
      this.#klipper = undefined;
      this.admin.start(this.admin.program);
      this.controller.leave();
    };
  }

  #own(): void {
    const owned = this.#options.ownedId?.() ?? 0;
    if (this.#guest?.kind === 'klipper' && owned !== 0 && this.admin.dataId === undefined)
      this.admin.assign(owned);
  }

  #bitrateOf(guest: CanGuest): number {
    if (guest.kind === 'katapult') return this.#options.bitrate;
    return guest.program.canFrequency ?? this.#options.bitrate;
  }

  #klipperSerial({ program }: Extract<CanGuest, { kind: 'klipper' }>): CanSerial {
    const klipper = new KlipperMcu(
      program.dictionary,
      () => this.#clock.now(),
      (block) => serial.respond(block),
    );
    this.#klipper = klipper;
    const serial = new CanSerial({
      ...this.#wire(),
      transmitBytes: KLIPPER_TRANSMIT,
      step: (buffer) => {
        klipper.receive(buffer);
        return { took: buffer.length, ret: buffer.length === 0 ? 0 : 1 };
      },
    });
    return serial;
  }

  #katapultSerial(guest: Extract<CanGuest, { kind: 'katapult' }>): CanSerial {
    const firmware: KatapultFirmware = guest.firmware({
      canUuid: this.admin.uuid,
      respond: (message) => serial.respond(message),
    });
    const serial: CanSerial = new CanSerial({
      ...this.#wire(),
      transmitBytes: KATAPULT_TRANSMIT,
      step: (buffer) => firmware.step(buffer),
      isStuck: () => firmware.isWedged || firmware.isHung,
      // A hard fault never comes back from its handler, and no interrupt comes over it.
      isStalled: () => firmware.isHung || (firmware.isBusy && this.#options.stops?.() !== false),
    });
    return serial;
  }

  #wire(): Pick<SerialParts, 'clock' | 'admin' | 'loopMs' | 'waiting' | 'send' | 'answer'> {
    const { controller, admin } = this;
    const { answers, loopMs } = this.#options;
    return {
      clock: this.#clock,
      admin,
      loopMs: loopMs ?? LOOP_MS,
      waiting: () => controller.waiting,
      send: (frame) => void controller.send(frame),
      answer: (plain) => {
        for (const frame of answers?.(plain) ?? [plain]) controller.send(frame);
      },
    };
  }
}
