// Virtual bench, CAN: the two kinds of hardware behind a host's interface, an adapter and our own board as a bridge.

import type { CanFrame, CanTrouble } from '../ports/can.ts';
import { CanAdmin } from './can-admin.ts';
import { CanController } from './can-controller.ts';
import type { CanWire } from './can-wire.ts';
import type { BenchClock } from './clock.ts';

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
  #stuckSince: number | undefined;

  constructor(
    around: { clock: BenchClock; wire: CanWire; uuid: string; ownedId: () => number; reboot: () => void },
    settings: WireSettings,
    events: DeviceEvents,
  ) {
    this.#clock = around.clock;
    this.#events = events;
    this.#ownedId = around.ownedId;
    this.admin = new CanAdmin(around.uuid, 'klipper', 0, around.reboot);
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
    if (this.admin.nodeId === 0) this.admin.nodeId = this.#ownedId();
    if (frame.id !== this.admin.dataId && !this.#toWire(frame)) return false;
    this.#events.echo(frame);
    const answer = this.admin.receive(frame);
    if (answer !== undefined) this.#events.frame(answer);
    return true;
  }

  leave(): void {
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
