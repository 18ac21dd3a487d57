// Virtual board for other programs: a Nano River Technologies Viperboard, the USB GPIO expander that Linux drives with
// gpio-viperboard, with BOOT0 and NRST soldered to its chip "viperboard gpio a".
// Requests and messages: linux drivers/mfd/viperboard.c, drivers/gpio/gpio-viperboard.c, include/linux/mfd/viperboard.h.

import type { Drive, Level } from '../lines.ts';
import { configuration, deviceDescriptor, deviceStrings, standardRequest } from '../usb-descriptors.ts';
import type { SetupPacket, UsbFunction } from '../usb-function.ts';

/** A pin of the expander: an input floats. */
export interface ExpanderPin {
  drive(drive: Drive): void;
  level(): Level;
}

const FACTS = {
  vendorId: 0x2058,
  productId: 0x1005,
  bcdDevice: 0x0100,
  deviceClass: 0,
  maxPacket0: 64,
  manufacturer: 'Nano River Technologies',
  product: 'Viperboard',
  serial: 'virtual',
} as const;

/** VPRBRD_USB_REQUEST_*. */
const REQUEST = { I2C_FREQ: 0xe6, MAJOR: 0xea, MINOR: 0xeb, GPIOA: 0xed, GPIOB: 0xdd } as const;
/** VPRBRD_GPIOA_CMD_*, the ones that the driver sends. */
const GPIOA = { SETOUT: 3, SETIN: 4, GETIN: 6 } as const;
/** struct vprbrd_gpioa_msg: cmd, clk, offset, t1, t2, invert, pwmlevel, outval, risefall, answer, fill. */
const GPIOA_BYTES = 11;
const GPIOA_ANSWER_AT = 9;
/** struct vprbrd_gpiob_msg: cmd, val and mask, big-endian. */
const GPIOB_BYTES = 5;
const GPIOB = { SETDIR: 0, SETVAL: 1 } as const;

const CONFIGURATION = configuration([{ kind: [0xff, 0, 0] }]);
const ACK = new Uint8Array(0);

/** @param pins what hangs on the lines of chip a, from line 0 on; all else hangs in the air */
export function createViperboard(pins: readonly ExpanderPin[]): UsbFunction {
  let asked = 0;
  // Chip b hangs in the air: it reads back what it drives.
  let outputsB = 0;
  let valuesB = 0;

  function gpioA(message: Uint8Array): Uint8Array | 'stall' {
    const [command, , line = 0] = message;
    if (message.length !== GPIOA_BYTES) return 'stall';
    if (command === GPIOA.GETIN) asked = line;
    else if (command === GPIOA.SETIN) pins[line]?.drive('floating');
    else if (command === GPIOA.SETOUT) pins[line]?.drive((message[7] ?? 0) === 0 ? 'low' : 'high');
    else return 'stall';
    return ACK;
  }

  function gpioB(message: Uint8Array): Uint8Array | 'stall' {
    if (message.length !== GPIOB_BYTES) return 'stall';
    const view = new DataView(message.buffer, message.byteOffset, GPIOB_BYTES);
    const mask = view.getUint16(3);
    const bits = view.getUint16(1) & mask;
    if (message[0] === GPIOB.SETDIR) outputsB = (outputsB & ~mask) | bits;
    else if (message[0] === GPIOB.SETVAL) valuesB = (valuesB & ~mask) | bits;
    else return 'stall';
    return ACK;
  }

  function read(request: number): Uint8Array | 'stall' {
    if (request === REQUEST.MAJOR) return Uint8Array.of(1);
    if (request === REQUEST.MINOR) return Uint8Array.of(0);
    if (request === REQUEST.GPIOA) {
      const answer = new Uint8Array(GPIOA_BYTES);
      answer[GPIOA_ANSWER_AT] = pins[asked]?.level() === 'high' ? 1 : 0;
      return answer;
    }
    const inputs = valuesB & outputsB;
    return request === REQUEST.GPIOB ? Uint8Array.of(0, inputs >> 8, inputs & 0xff, 0, 0) : 'stall';
  }

  const control = (setup: SetupPacket, data: Uint8Array): Uint8Array | 'stall' => {
    const { bmRequestType, bRequest } = setup;
    if (bmRequestType === 0x40 && bRequest === REQUEST.GPIOA) return gpioA(data);
    if (bmRequestType === 0x40 && bRequest === REQUEST.GPIOB) return gpioB(data);
    // The I2C half of the driver asks for it when it starts; nothing hangs on that bus.
    if (bmRequestType === 0x40 && bRequest === REQUEST.I2C_FREQ) return ACK;
    if (bmRequestType === 0xc0) return read(bRequest);
    return standardRequest(setup, FACTS, CONFIGURATION);
  };
  return {
    deviceDescriptor: deviceDescriptor(FACTS),
    strings: deviceStrings(FACTS),
    control: async (setup, data) => {
      await Promise.resolve();
      const answer = control(setup, data);
      return answer === 'stall' ? answer : answer.slice(0, setup.wLength);
    },
    stop: () => {},
  };
}
