// Virtual bench, CAN: the two kinds of hardware behind a host's interface, an adapter and our own board as a bridge.

import type { CanFrame, CanTrouble } from '../ports/can.ts';
import { ADMIN_ID, CanAdmin } from './can-admin.ts';
import { CanController } from './can-controller.ts';
import { CanSerial } from './can-serial.ts';
import { KLIPPER_TRANSMIT, LOOP_MS } from './can-station.ts';
import type { CanWire } from './can-wire.ts';
import type { BenchClock } from './clock.ts';
import { KlipperMcu } from './klipper-mcu.ts';

/** What a device tells the interface that stands for it. */
export interface DeviceEvents {
  readonly frame: (frame: CanFrame) => void;
  /** Sent, or taken by the device for sent: other programs on the host hear it now. */
  readonly echo: (frame: CanFrame) => void;
  readonly trouble: (trouble: CanTrouble) => void;
}

export interface CanDevice {
  /** False when the host has to keep it. */
  send(frame: CanFrame): boolean;
  leave(): void;
}

/** Linux drivers/net/can/usb/gs_usb.c: GS_MAX_TX_URBS. So many are with the device beside those in Linux's queue. */
const DRIVER_FRAMES = 10;

export interface WireSettings {
  readonly bitrate: number;
  /** `txqueuelen`. */
  readonly txQueueLength: number;
}

/** A U2C and the like (candleLight): it retransmits for ever, and tells what goes wrong. */
export class AdapterDevice implements CanDevice {
  readonly controller: CanController;

  constructor(wire: CanWire, settings: WireSettings, events: DeviceEvents) {
    this.controller = new CanController(wire, {
      bitrate: settings.bitrate,
      queueLength: settings.txQueueLength + DRIVER_FRAMES,
      onFrame: events.frame,
      onSent: events.echo,
      onTrouble: events.trouble,
    });
  }

  send(frame: CanFrame): boolean {
    // Bus-off takes the carrier away, and Linux drops in silence what is sent without a carrier (net/sched/sch_generic.c,
    // noop_qdisc). UNPROVEN on a real adapter.
    return this.controller.isBusOff || this.controller.send(frame);
  }

  leave(): void {
    this.controller.leave();
  }
}

/** Klipper src/generic/usb_canbus.c: frames to the wire are discarded when it has been stuck for 50 ms. */
const STUCK_MS = 50;

export interface BridgeSurroundings {
  readonly clock: BenchClock;
  readonly wire: CanWire;
  readonly uuid: string;
  /** What `identify` hands out. */
  readonly dictionary: Uint8Array | undefined;
  /** The id that a Klipper of the bench has given it, or 0. */
  readonly ownedId: () => number;
  readonly reboot: () => void;
}

/**
 * Klipper as USB to CAN bridge. Admin frames go to the wire and to itself, frames to its own id only to itself; its own
 * never reach the wire. It sends no error frames, so the host learns nothing of what goes wrong.
 */
export class BridgeDevice implements CanDevice {
  readonly admin: CanAdmin;
  readonly controller: CanController;
  readonly #clock: BenchClock;
  readonly #events: DeviceEvents;
  readonly #ownedId: () => number;
  readonly #serial: CanSerial;
  #stuckSince: number | undefined;

  constructor(around: BridgeSurroundings, settings: WireSettings, events: DeviceEvents) {
    const { clock, dictionary } = around;
    this.#clock = clock;
    this.#events = events;
    this.#ownedId = around.ownedId;
    const klipper =
      dictionary === undefined
        ? undefined
        : new KlipperMcu(
            dictionary,
            () => clock.now(),
            (block) => this.#serial.respond(block),
          );
    this.admin = new CanAdmin(around.uuid, { reboot: around.reboot, conflict: () => klipper?.shutdown() });
    this.#serial = new CanSerial({
      clock,
      admin: this.admin,
      loopMs: LOOP_MS,
      transmitBytes: KLIPPER_TRANSMIT,
      step: (buffer) => {
        klipper?.receive(buffer);
        return { took: buffer.length, ret: buffer.length === 0 ? 0 : 1 };
      },
      // USB takes them, so its own frames wait for no mailbox.
      waiting: () => 0,
      send: (frame) => events.frame(frame),
      answer: (frame) => events.frame(frame),
    });
    this.controller = new CanController(around.wire, {
      bitrate: settings.bitrate,
      queueLength: settings.txQueueLength + DRIVER_FRAMES,
      onFrame: (frame) => {
        const isOwn = this.admin.dataId !== undefined && (frame.id & ~1) === this.admin.dataId;
        if (!isOwn) events.frame(frame);
      },
      onSent: () => {
        this.#stuckSince = undefined;
      },
      onTrouble: () => {
        this.#stuckSince ??= this.#clock.now();
      },
    });
  }

  send(frame: CanFrame): boolean {
    const owned = this.#ownedId();
    if (this.admin.dataId === undefined && owned !== 0) this.admin.assign(owned);
    const isOwn = frame.id === this.admin.dataId;
    if (!isOwn && !this.#toWire(frame)) return false;
    this.#events.echo(frame);
    if (isOwn || frame.id === ADMIN_ID) this.#serial.receive(frame);
    return true;
  }

  leave(): void {
    this.#serial.stop();
    this.controller.leave();
  }

  #toWire(frame: CanFrame): boolean {
    if (this.controller.isBusOff) return true;
    if (this.#stuckSince !== undefined && this.#clock.now() - this.#stuckSince > STUCK_MS) {
      this.controller.dropWaiting();
      return true;
    }
    return this.controller.send(frame);
  }
}
