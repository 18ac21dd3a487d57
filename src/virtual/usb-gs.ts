// Virtual bench, USB: Klipper's bridge as Linux's gs_usb driver meets it.
// Requests and frames: linux drivers/net/can/usb/gs_usb.c; what the firmware answers: Klipper src/generic/usb_canbus.c.

import type { CanFrame } from '../ports/can.ts';
import type { CanDevice, DeviceEvents } from './can-device.ts';
import type { BenchClock } from './clock.ts';
import { PacketQueue } from './packet-queue.ts';
import { configuration, standardRequest, type DeviceFacts } from './usb-descriptors.ts';
import type { SetupPacket, UsbPipes } from './usb-function.ts';

const BULK_OUT = 0x02;
const BULK_IN = 0x83;

export const GS_CONFIGURATION = configuration([
  {
    kind: [255, 255, 255],
    endpoints: [
      [BULK_OUT, 2, 64, 0],
      [BULK_IN, 2, 64, 0],
    ],
  },
]);

/** enum gs_usb_breq. */
const REQUEST = { HOST_FORMAT: 0, BITTIMING: 1, MODE: 2, BT_CONST: 4, DEVICE_CONFIG: 5 } as const;
/** Sizes of what the host sends, struct gs_host_config, gs_device_bittiming, gs_device_mode. */
const TAKES = new Map<number, number>([
  [REQUEST.HOST_FORMAT, 4],
  [REQUEST.BITTIMING, 20],
  [REQUEST.MODE, 8],
]);
/** struct gs_device_config: three reserved, icount 0 (one channel), sw_version 2, hw_version 1. */
const DEVICE_CONFIG = Uint8Array.of(0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0);
/**
 * struct gs_device_bt_const: feature, fclk_can, tseg1 1..16, tseg2 1..8, sjw_max 4, brp 1..1024 step 1: as
 * `ip -details` shows them on an Octopus (real-silicon.md section 8). The firmware takes bit timing and ignores it.
 */
const BT_CONST = Uint8Array.from(
  new Uint8Array(Uint32Array.of(0, 48_000_000, 1, 16, 1, 8, 4, 1, 1024, 1).buffer),
);

/** struct gs_host_frame, classic: echo_id, can_id, dlc, channel, flags, reserved, 8 bytes. */
const FRAME_BYTES = 20;
/** A frame of the bus; any other echo_id comes back with the frame that the host sent. */
const NO_ECHO = 0xffff_ffff;
/** linux/can.h: an 11-bit identifier; above are the flags for extended, remote and error frames. */
const STANDARD_ID = 0x7ff;
/** canhw_queue: so many frames of the bus wait for the host, more are dropped. */
const RX_FRAMES = 32;
/** How soon the firmware's loop tries a full mailbox again. */
const RETRY_MS = 0.2;

export class GsUsbFunction {
  readonly #facts: DeviceFacts;
  readonly #clock: BenchClock;
  readonly #queue = new PacketQueue();
  /** The host's frames on their way, by the object that the CAN side echoes. */
  readonly #sent = new WeakMap<CanFrame, Uint8Array>();
  #device: CanDevice | undefined;
  #stopped = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(facts: DeviceFacts, clock: BenchClock) {
    this.#facts = facts;
    this.#clock = clock;
  }

  join(start: (events: DeviceEvents) => CanDevice): void {
    this.#device ??= start({
      frame: (frame) => this.#toHost(frame),
      echo: (frame) => {
        const raw = this.#sent.get(frame);
        if (raw !== undefined) this.#queue.push(raw);
      },
      // It sends no error frames.
      trouble: () => {},
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#queue.clear();
    this.#device?.leave();
  }

  control(setup: SetupPacket, data: Uint8Array): Uint8Array | 'stall' {
    const { bmRequestType, bRequest } = setup;
    if ((bmRequestType & 0x60) === 0) return standardRequest(setup, this.#facts, GS_CONFIGURATION);
    // Vendor requests; to whom they go the firmware does not look at.
    if ((bmRequestType & 0x60) !== 0x40) return 'stall';
    if ((bmRequestType & 0x80) === 0)
      return data.length > 0 && data.length === TAKES.get(bRequest) ? new Uint8Array(0) : 'stall';
    if (bRequest === REQUEST.BT_CONST) return BT_CONST;
    return bRequest === REQUEST.DEVICE_CONFIG ? DEVICE_CONFIG : 'stall';
  }

  readonly pipes: UsbPipes = {
    out: (address, bytes) => {
      const result = this.#turn.then(() => this.#fromHost(address, bytes));
      this.#turn = result.catch(() => {});
      return result;
    },
    take: (address) => (address === BULK_IN ? this.#queue.take() : undefined),
    onReady: (listener) => this.#queue.onReady(listener),
  };

  async #fromHost(address: number, bytes: Uint8Array): Promise<'ok' | 'stall'> {
    if (address !== BULK_OUT) return 'stall';
    for (let at = 0; at + FRAME_BYTES <= bytes.length; at += FRAME_BYTES)
      await this.#frameFromHost(Uint8Array.from(bytes.subarray(at, at + FRAME_BYTES)));
    return 'ok';
  }

  async #frameFromHost(raw: Uint8Array): Promise<void> {
    const view = new DataView(raw.buffer);
    const id = view.getUint32(4, true);
    const length = Math.min(8, raw[8] ?? 0);
    const device = this.#device;
    // The virtual wire knows 11-bit data frames only: what else a host sends comes back and goes nowhere.
    if (device === undefined || id > STANDARD_ID) {
      this.#queue.push(raw);
      return;
    }
    const frame: CanFrame = { id, data: raw.slice(12, 12 + length) };
    this.#sent.set(frame, raw);
    // A full queue holds the host off, until frames are sent or discarded.
    while (!this.#stopped && !device.send(frame)) await this.#clock.sleep(RETRY_MS);
  }

  #toHost({ id, data }: CanFrame): void {
    if (this.#stopped || this.#queue.waiting >= RX_FRAMES) return;
    const raw = new Uint8Array(FRAME_BYTES);
    const view = new DataView(raw.buffer);
    view.setUint32(0, NO_ECHO, true);
    view.setUint32(4, id, true);
    raw[8] = data.length;
    raw.set(data.subarray(0, 8), 12);
    this.#queue.push(raw);
  }
}
