// Virtual bench, USB: a USB to CAN adapter with candleLight's firmware (a U2C and the like), as Linux's gs_usb meets it. Unlike
// our board as a bridge it obeys the bitrate that the host sets, and tells by error frames what goes wrong.
// Requests and frames: linux drivers/net/can/usb/gs_usb.c; error classes: include/uapi/linux/can/error.h.

import type { CanFrame, CanTrouble } from '../ports/can.ts';
import { AdapterDevice } from './can-device.ts';
import type { CanWire } from './can-wire.ts';
import { PacketQueue } from './packet-queue.ts';
import {
  configuration,
  deviceDescriptor,
  deviceStrings,
  standardRequest,
  type DeviceFacts,
} from './usb-descriptors.ts';
import type { SetupPacket, UsbFunction } from './usb-function.ts';

const FACTS: DeviceFacts = {
  vendorId: 0x1d50,
  productId: 0x606f,
  bcdDevice: 0,
  deviceClass: 0,
  maxPacket0: 64,
  manufacturer: 'bytewerk',
  product: 'candleLight USB to CAN adapter',
  serial: 'virtual',
};
const BULK_OUT = 0x02;
const BULK_IN = 0x81;
const CONFIGURATION = configuration([
  {
    kind: [255, 255, 255],
    endpoints: [
      [BULK_IN, 2, 32, 0],
      [BULK_OUT, 2, 32, 0],
    ],
  },
]);

/** enum gs_usb_breq. */
const REQUEST = { BITTIMING: 1, MODE: 2, BT_CONST: 4, DEVICE_CONFIG: 5 } as const;
const CLOCK_HZ = 48_000_000;
/** struct gs_device_bittiming, struct gs_device_mode. */
const BITTIMING_BYTES = 20;
const MODE_BYTES = 8;

const FRAME_BYTES = 20;
const NO_ECHO = 0xffff_ffff;
const STANDARD_ID = 0x7ff;
const ERROR_FLAG = 0x2000_0000;
/** CAN_ERR_PROT, CAN_ERR_ACK, CAN_ERR_BUSOFF. */
const CLASS: Partial<Record<CanTrouble, number>> = {
  disturbed: 0x08,
  'no-acknowledge': 0x20,
  'bus-off': 0x40,
};

export function createCandleUsb(wire: CanWire): UsbFunction {
  const adapter = new Candle(wire);
  return {
    deviceDescriptor: deviceDescriptor(FACTS),
    strings: deviceStrings(FACTS),
    control: async (setup, data) => {
      await Promise.resolve();
      const answer = adapter.control(setup, data);
      return answer === 'stall' ? answer : answer.slice(0, setup.wLength);
    },
    pipes: {
      out: async (address, bytes) => {
        await Promise.resolve();
        if (address !== BULK_OUT) return 'stall';
        adapter.fromHost(Uint8Array.from(bytes));
        return 'ok';
      },
      take: (address) => (address === BULK_IN ? adapter.queue.take() : undefined),
      onReady: (listener) => adapter.queue.onReady(listener),
    },
    stop: () => adapter.stop(),
  };
}

class Candle {
  readonly queue = new PacketQueue();
  readonly #wire: CanWire;
  /** The host's frames on their way. */
  readonly #sent = new WeakMap<CanFrame, Uint8Array>();
  #bitrate = 0;
  #device: AdapterDevice | undefined;

  constructor(wire: CanWire) {
    this.#wire = wire;
  }

  control(setup: SetupPacket, data: Uint8Array): Uint8Array | 'stall' {
    const { bmRequestType, bRequest } = setup;
    if ((bmRequestType & 0x60) === 0) return standardRequest(setup, FACTS, CONFIGURATION);
    // No feature; tseg1 1..16, tseg2 1..8, sjw 4, brp 1..1024.
    if (bRequest === REQUEST.BT_CONST) return words(0, CLOCK_HZ, 1, 16, 1, 8, 4, 1, 1024, 1);
    if (bRequest === REQUEST.DEVICE_CONFIG) return words(0, 2, 1);
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const word = (index: number): number => view.getUint32(index * 4, true);
    // prop_seg, phase_seg1, phase_seg2, sjw, brp
    if (bRequest === REQUEST.BITTIMING && data.length >= BITTIMING_BYTES)
      this.#bitrate = CLOCK_HZ / word(4) / (1 + word(0) + word(1) + word(2));
    if (bRequest === REQUEST.MODE && data.length >= MODE_BYTES) this.#setMode(word(0) === 1);
    return new Uint8Array(0);
  }

  fromHost(raw: Uint8Array): void {
    if (raw.length < FRAME_BYTES) return;
    const id = new DataView(raw.buffer).getUint32(4, true);
    // The virtual wire knows 11-bit data frames only: what else a host sends comes back and goes nowhere.
    if (id > STANDARD_ID) {
      this.queue.push(raw);
      return;
    }
    const frame: CanFrame = { id, data: raw.slice(12, 12 + Math.min(8, raw[8] ?? 0)) };
    this.#sent.set(frame, raw);
    this.#device?.send(frame);
  }

  stop(): void {
    this.#device?.leave();
    this.#device = undefined;
    this.queue.clear();
  }

  #setMode(isStart: boolean): void {
    this.stop();
    if (!isStart) return;
    this.#device = new AdapterDevice(
      this.#wire,
      { bitrate: this.#bitrate, txQueueLength: 0 },
      {
        frame: ({ id, data }) => this.#toHost(id, data),
        echo: (frame) => {
          const raw = this.#sent.get(frame);
          if (raw !== undefined) this.queue.push(raw);
        },
        trouble: (trouble) => this.#toHost(ERROR_FLAG | (CLASS[trouble] ?? 0), new Uint8Array(8)),
      },
    );
  }

  #toHost(id: number, data: Uint8Array): void {
    const raw = new Uint8Array(FRAME_BYTES);
    raw.set(words(NO_ECHO, id));
    raw[8] = data.length;
    raw.set(data, 12);
    this.queue.push(raw);
  }
}

function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}
