// Virtual bench, firmware on USB: Klipper as CDC-ACM or as bridge, and what all of them are called.

import type { ByteDirection } from './byte-faults.ts';
import { after, type BenchClock } from './clock.ts';
import { KlipperMcu } from './klipper-mcu.ts';
import type { FirmwareSettings } from './firmware-settings.ts';
import { CDC_TTY, CdcFunction } from './usb-cdc.ts';
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
export function katapultFacts(mcu: string, uid: string): DeviceFacts {
  return { ...klipperFacts(mcu, uid), productId: 0x6177, manufacturer: 'katapult' };
}

const FACTS = { vendorId: 0x1d50, bcdDevice: 0x0100, deviceClass: 2, maxPacket0: 16 } as const;

/** What Arduinos have made of this speed, and Klipper after them. */
const TOUCH_BAUD = 1200;
/** Between a block and its answer. UNPROVEN: a millisecond is what hosts usually see on full speed. */
const REPLY_MS = 1;

export function createKlipperUsb(options: {
  clock: BenchClock;
  mcu: string;
  uid: string;
  dictionary: Uint8Array;
  /** bootloader_request, by 1200 baud and DTR low (src/generic/usb_cdc.c, check_reboot). */
  onTouch?: () => void;
  touchSees?: FirmwareSettings['touchSees'];
  /** A message between the host and it, as it comes out at the other end. */
  disturb?: (direction: ByteDirection, message: Uint8Array) => readonly Uint8Array[];
}): UsbFunction {
  const { clock, disturb = (_direction, message) => [message] } = options;
  let stopped = false;
  const emit = (block: Uint8Array): void => {
    after(clock, REPLY_MS, () => {
      if (stopped) return;
      for (const one of disturb('in', block)) cdc.send(one);
    });
  };
  const firmware = new KlipperMcu(options.dictionary, () => clock.now(), emit);
  const facts = klipperFacts(options.mcu, options.uid);
  const cdc = new CdcFunction(facts, {
    receive: (packet) => {
      if (!stopped) firmware.receive(packet);
    },
    onLine: ({ baud, dtr }) => {
      if (baud !== TOUCH_BAUD || dtr || stopped) return;
      // The status stage is sent before; whether the host still gets it is a matter of luck.
      after(clock, 0, () => {
        if (!stopped) options.onTouch?.();
      });
    },
    looksEarly: options.touchSees === 'coding-before',
  });
  const { pipes } = cdc;
  return {
    ...cdcDevice(facts, cdc),
    pipes: {
      ...pipes,
      out: async (address, bytes, signal) => {
        let status: 'ok' | 'stall' = 'ok';
        for (const one of disturb('out', bytes)) status = await pipes.out(address, one, signal);
        return status;
      },
    },
    stop: () => {
      stopped = true;
      cdc.unplugged();
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

/** A device of somebody else with these facts: it enumerates and answers standard requests. */
export function createForeignUsb(facts: DeviceFacts, tty = false): UsbFunction {
  return tty ? cdcDevice(facts, new CdcFunction(facts, { receive: () => {} })) : plainDevice(facts);
}

function cdcDevice(facts: DeviceFacts, cdc: CdcFunction): UsbFunction {
  return {
    ...plainDevice(facts),
    control: (setup, data) => Promise.resolve(cut(cdc.control(setup, data), setup.wLength)),
    pipes: cdc.pipes,
    serialLine: () => cdc.line(),
    tty: CDC_TTY,
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
