// Virtual bench, firmware on USB: Klipper as CDC-ACM or as bridge, and Katapult's face on the bus.

import { after, type BenchClock } from './clock.ts';
import { KlipperMcu } from './klipper-mcu.ts';
import { CdcFunction } from './usb-cdc.ts';
import {
  configuration,
  deviceDescriptor,
  deviceStrings,
  standardRequest,
  type DeviceFacts,
} from './usb-descriptors.ts';
import type { UsbFunction } from './usb-function.ts';
import { GsUsbFunction } from './usb-gs.ts';

/** 1d50:614e, bcdDevice 1.00, class 2, EP0 16 (real-silicon.md section 8). */
export function klipperFacts(mcu: string, uid: string): DeviceFacts {
  return { ...FACTS, productId: 0x614e, manufacturer: 'Klipper', product: mcu, serial: uid.toUpperCase() };
}

/** 1d50:606f, bcdDevice 0.00; class 0 and EP0 16 (Klipper src/generic/usb_canbus.c, gs_device_descriptor). */
function bridgeFacts(mcu: string, uid: string): DeviceFacts {
  return { ...klipperFacts(mcu, uid), productId: 0x606f, bcdDevice: 0, deviceClass: 0 };
}

/** 1d50:6177, bcdDevice 1.00, "katapult" (section 7). */
function katapultFacts(mcu: string, uid: string): DeviceFacts {
  return { ...klipperFacts(mcu, uid), productId: 0x6177, manufacturer: 'katapult' };
}

const FACTS = { vendorId: 0x1d50, bcdDevice: 0x0100, deviceClass: 2, maxPacket0: 16 } as const;

/** Between a block and its answer. UNPROVEN: a millisecond is what hosts usually see on full speed. */
const REPLY_MS = 1;

export function createKlipperUsb(options: {
  clock: BenchClock;
  mcu: string;
  uid: string;
  dictionary: Uint8Array;
}): UsbFunction {
  const listeners = new Set<(bytes: Uint8Array) => void>();
  let stopped = false;
  const emit = (block: Uint8Array): void => {
    after(options.clock, REPLY_MS, () => {
      if (stopped) return;
      cdc.send(block);
      for (const listener of listeners) listener(block);
    });
  };
  const firmware = new KlipperMcu(options.dictionary, () => options.clock.now(), emit);
  const write = (bytes: Uint8Array): void => {
    if (!stopped) firmware.receive(bytes);
  };
  const facts = klipperFacts(options.mcu, options.uid);
  const cdc = new CdcFunction(facts, write);
  return {
    ...cdcDevice(facts, cdc),
    tty: {
      write,
      onBytes: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    stop: () => {
      stopped = true;
    },
  };
}

export function createBridgeUsb(clock: BenchClock, mcu: string, uid: string): UsbFunction {
  const facts = bridgeFacts(mcu, uid);
  const bridge = new GsUsbFunction(facts, clock);
  return {
    ...plainDevice(facts),
    control: (setup, data) => Promise.resolve(cut(bridge.control(setup, data), setup.wLength)),
    pipes: bridge.pipes,
    joinCan: (start) => bridge.join(start),
    stop: () => bridge.stop(),
  };
}

/** Enumerates and takes bytes; the flashing protocol has its own place. */
export function createKatapultUsb(mcu: string, uid: string): UsbFunction {
  const facts = katapultFacts(mcu, uid);
  return cdcDevice(facts, new CdcFunction(facts, () => {}));
}

/** A device of somebody else with these facts: it enumerates and answers standard requests. */
export function createForeignUsb(facts: DeviceFacts, tty = false): UsbFunction {
  return tty ? cdcDevice(facts, new CdcFunction(facts, () => {})) : plainDevice(facts);
}

function cdcDevice(facts: DeviceFacts, cdc: CdcFunction): UsbFunction {
  return {
    ...plainDevice(facts),
    control: (setup, data) => Promise.resolve(cut(cdc.control(setup, data), setup.wLength)),
    pipes: cdc.pipes,
    serialLine: () => cdc.line(),
    tty: { write: () => {}, onBytes: () => () => {} },
  };
}

const DFU_ONLY = configuration([{ kind: [0xfe, 1, 2] }]);

function plainDevice(facts: DeviceFacts): UsbFunction {
  return {
    deviceDescriptor: deviceDescriptor(facts),
    strings: deviceStrings(facts),
    control: (setup) => Promise.resolve(standardRequest(setup, facts, DFU_ONLY)),
    stop: () => {},
  };
}

function cut(answer: Uint8Array | 'stall', length: number): Uint8Array | 'stall' {
  return answer === 'stall' ? answer : answer.slice(0, length);
}
