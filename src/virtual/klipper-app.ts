// Virtual bench, firmware on USB: Klipper as CDC-ACM or as bridge, and Katapult's face on the bus.

import { after, type BenchClock } from './clock.ts';
import { KlipperMcu } from './klipper-mcu.ts';
import {
  configuration,
  deviceDescriptor,
  deviceStrings,
  standardRequest,
  type DeviceFacts,
} from './usb-descriptors.ts';
import type { SetupPacket, UsbFunction } from './usb-function.ts';

/** CDC-ACM: a communication and a data interface (USB CDC 1.1). */
const CDC = configuration([
  [2, 2, 1, 1],
  [10, 0, 0, 2],
]);
/** gs_usb: one vendor interface. */
const GS_USB = configuration([[0xff, 0xff, 0xff, 2]]);

/** 1d50:614e, bcdDevice 1.00, class 2, EP0 16 (real-silicon.md section 8). */
export function klipperFacts(mcu: string, uid: string): DeviceFacts {
  return { ...FACTS, productId: 0x614e, manufacturer: 'Klipper', product: mcu, serial: uid.toUpperCase() };
}

/** 1d50:606f, bcdDevice 0.00. */
function bridgeFacts(mcu: string, uid: string): DeviceFacts {
  return { ...klipperFacts(mcu, uid), productId: 0x606f, bcdDevice: 0, deviceClass: 0xff, maxPacket0: 64 };
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
      for (const listener of listeners) listener(block);
    });
  };
  const firmware = new KlipperMcu(options.dictionary, () => options.clock.now(), emit);
  return {
    ...plainDevice(klipperFacts(options.mcu, options.uid), CDC),
    tty: {
      write: (bytes) => {
        if (!stopped) firmware.receive(bytes);
      },
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

export function createBridgeUsb(mcu: string, uid: string): UsbFunction {
  return plainDevice(bridgeFacts(mcu, uid), GS_USB);
}

/** Enumerates and takes bytes; the flashing protocol has its own place. */
export function createKatapultUsb(mcu: string, uid: string): UsbFunction {
  return {
    ...plainDevice(katapultFacts(mcu, uid), CDC),
    tty: { write: () => {}, onBytes: () => () => {} },
  };
}

/** A device of somebody else with these facts: it enumerates and answers standard requests. */
export function createForeignUsb(facts: DeviceFacts, tty = false): UsbFunction {
  return {
    ...plainDevice(facts, tty ? CDC : configuration([[0xfe, 1, 2, 0]])),
    ...(tty ? { tty: { write: () => {}, onBytes: () => () => {} } } : {}),
  };
}

function plainDevice(facts: DeviceFacts, config: Uint8Array): UsbFunction {
  return {
    deviceDescriptor: deviceDescriptor(facts),
    strings: deviceStrings(facts),
    control: (setup) => Promise.resolve(cdcRequest(setup) ?? standardRequest(setup, facts, config)),
    stop: () => {},
  };
}

/** SET_LINE_CODING, GET_LINE_CODING, SET_CONTROL_LINE_STATE: taken and without effect here. */
function cdcRequest(setup: SetupPacket): Uint8Array | undefined {
  if (setup.bmRequestType === 0x21 && (setup.bRequest === 0x20 || setup.bRequest === 0x22)) {
    return new Uint8Array(0);
  }
  if (setup.bmRequestType === 0xa1 && setup.bRequest === 0x21) {
    return Uint8Array.of(0x90, 0xd0, 0x03, 0x00, 0, 0, 8).slice(0, setup.wLength);
  }
  return undefined;
}
