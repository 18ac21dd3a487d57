// A USB-CAN adapter with candleLight's firmware (a U2C) on a virtual wire, for a guest's gs_usb driver: unlike our board
// as a bridge it obeys the bitrate that the host sets, and tells by error frames what goes wrong.
// Requests and frames: linux drivers/net/can/usb/gs_usb.c; error classes: include/uapi/linux/can/error.h.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CanFrame, CanTrouble } from '../../src/ports/can.ts';
import { AdapterDevice } from '../../src/virtual/can-device.ts';
import { CanNode } from '../../src/virtual/can-node.ts';
import { CanWire } from '../../src/virtual/can-wire.ts';
import { TIMES } from '../../src/virtual/times.ts';
import { PacketQueue } from '../../src/virtual/packet-queue.ts';
import { RealClock } from '../../src/virtual/real-clock.ts';
import { permanentPort } from '../../src/virtual/serve/port.ts';
import { serveUsbredir } from '../../src/virtual/serve/usbredir-host.ts';
import {
  configuration,
  deviceDescriptor,
  deviceStrings,
  standardRequest,
} from '../../src/virtual/usb-descriptors.ts';
import type { SetupPacket, UsbFunction } from '../../src/virtual/usb-function.ts';

/** The only node's. */
export const NODE = { uuid: '0a0b0c000001', bitrate: 1_000_000 } as const;

const FACTS = {
  vendorId: 0x1d50,
  productId: 0x606f,
  bcdDevice: 0,
  deviceClass: 0,
  maxPacket0: 64,
  manufacturer: 'bytewerk',
  product: 'candleLight USB to CAN adapter',
  serial: 'virtual',
} as const;
const [BULK_OUT, BULK_IN] = [0x02, 0x81];
const CONFIGURATION = configuration([
  {
    kind: [255, 255, 255],
    endpoints: [
      [BULK_IN, 2, 32, 0],
      [BULK_OUT, 2, 32, 0],
    ],
  },
]);
const [BITTIMING, MODE, BT_CONST, DEVICE_CONFIG] = [1, 2, 4, 5];
const CLOCK_HZ = 48_000_000;
const words = (...values: number[]) => new Uint8Array(Uint32Array.from(values).buffer);
const NOTHING = new Uint8Array(0);

const FRAME_BYTES = 20;
const NO_ECHO = 0xffff_ffff;
const [ERROR_FLAG, PROTOCOL, ACKNOWLEDGE, BUS_OFF] = [0x2000_0000, 0x08, 0x20, 0x40];
const CLASS: Partial<Record<CanTrouble, number>> = {
  'no-acknowledge': ACKNOWLEDGE,
  disturbed: PROTOCOL,
  'bus-off': BUS_OFF,
};

function adapterOn(wire: CanWire): UsbFunction {
  const queue = new PacketQueue();
  const sent = new WeakMap<CanFrame, Uint8Array>();
  let bitrate = 0;
  let device: AdapterDevice | undefined;
  const tell = (id: number, data: Uint8Array): void => {
    const raw = new Uint8Array(FRAME_BYTES);
    raw.set(words(NO_ECHO, id));
    raw[8] = data.length;
    raw.set(data, 12);
    queue.push(raw);
  };
  const setMode = (isStart: boolean): void => {
    device?.leave();
    queue.clear();
    if (!isStart) return;
    device = new AdapterDevice(
      wire,
      { bitrate, txQueueLength: 0 },
      {
        frame: ({ id, data }) => tell(id, data),
        echo: (frame) => queue.push(sent.get(frame) ?? NOTHING),
        trouble: (trouble) => tell(ERROR_FLAG | (CLASS[trouble] ?? 0), new Uint8Array(8)),
      },
    );
  };
  const control = (setup: SetupPacket, data: Uint8Array): Uint8Array | 'stall' => {
    const { bmRequestType, bRequest } = setup;
    if ((bmRequestType & 0x60) === 0) return standardRequest(setup, FACTS, CONFIGURATION);
    // No feature; tseg1 1..16, tseg2 1..8, sjw 4, brp 1..1024.
    if (bRequest === BT_CONST) return words(0, CLOCK_HZ, 1, 16, 1, 8, 4, 1, 1024, 1);
    if (bRequest === DEVICE_CONFIG) return words(0, 2, 1);
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const word = (index: number): number => view.getUint32(index * 4, true);
    // prop_seg, phase_seg1, phase_seg2, sjw, brp
    if (bRequest === BITTIMING) bitrate = CLOCK_HZ / word(4) / (1 + word(0) + word(1) + word(2));
    if (bRequest === MODE) setMode(word(0) === 1);
    return NOTHING;
  };
  return {
    deviceDescriptor: deviceDescriptor(FACTS),
    strings: deviceStrings(FACTS),
    control: async (setup, data) => {
      await Promise.resolve();
      const answer = control(setup, data);
      return answer === 'stall' ? answer : answer.slice(0, setup.wLength);
    },
    pipes: {
      out: async (_address, bytes) => {
        await Promise.resolve();
        const raw = Uint8Array.from(bytes);
        const id = new DataView(raw.buffer).getUint32(4, true);
        const frame: CanFrame = { id, data: raw.slice(12, 12 + (raw[8] ?? 0)) };
        sent.set(frame, raw);
        device?.send(frame);
        return 'ok';
      },
      take: (address) => (address === BULK_IN ? queue.take() : undefined),
      onReady: (listener) => queue.onReady(listener),
    },
    stop: () => device?.leave(),
  };
}

export interface ServedAdapter {
  /** For `usbRedir`. */
  readonly socket: string;
  /** For the guest: `plug` puts the node on the wire, `pull` takes it off. */
  readonly env: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** One node, at 1 Mbit/s, shares the wire with it. */
export async function serveAdapter(): Promise<ServedAdapter> {
  const folder = mkdtempSync(join(tmpdir(), 'octopus-adapter-'));
  const socket = join(folder, 'usb');
  const clock = new RealClock();
  const wire = new CanWire(clock);
  const node = new CanNode(
    { clock, wire, bitrate: NODE.bitrate, times: TIMES.zero, timesName: 'zero' },
    { uuid: NODE.uuid },
    0,
  );
  const port = await permanentPort('1-1', adapterOn(wire));
  const usb = createServer((channel) => serveUsbredir(channel, port)).listen(socket);
  const person = createServer((asker) => {
    asker.on('error', () => {});
    createInterface({ input: asker }).on('line', (word) => {
      if (word === 'plug') node.powerOn();
      else node.powerOff();
      asker.end('null\n');
    });
  }).listen(0, '127.0.0.1');
  await Promise.all([usb, person].map((server: Server) => once(server, 'listening')));
  return {
    socket,
    env: { BENCH_PERSON_PORT: String((person.address() as AddressInfo).port) },
    close: async () => {
      person.close();
      port.hide();
      usb.close();
      clock.stop();
      rmSync(folder, { recursive: true, force: true });
      await Promise.resolve();
    },
  };
}
