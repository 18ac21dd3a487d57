// Virtual bench, USB: descriptors of the devices that are no ROM, and their standard requests (USB 2.0 chapter 9).

import type { SetupPacket } from './usb-function.ts';

export interface DeviceFacts {
  readonly vendorId: number;
  readonly productId: number;
  readonly bcdDevice: number;
  readonly deviceClass: number;
  readonly maxPacket0: number;
  readonly manufacturer: string;
  readonly product: string;
  readonly serial: string;
}

export function deviceDescriptor(facts: DeviceFacts): Uint8Array {
  return Uint8Array.of(
    18,
    1,
    ...word(0x0200),
    facts.deviceClass,
    0,
    0,
    facts.maxPacket0,
    ...word(facts.vendorId),
    ...word(facts.productId),
    ...word(facts.bcdDevice),
    1,
    2,
    3,
    1,
  );
}

export function deviceStrings(facts: DeviceFacts): ReadonlyMap<number, string> {
  return new Map([
    [1, facts.manufacturer],
    [2, facts.product],
    [3, facts.serial],
  ]);
}

/** Endpoint descriptor, USB 2.0 table 9-13: address, attributes (2 bulk, 3 interrupt), packet size, interval. */
export type EndpointFacts = readonly [number, number, number, number];

export interface InterfaceFacts {
  /** Class, subclass, protocol. */
  readonly kind: readonly [number, number, number];
  /** Descriptors of its class, in front of its endpoints. */
  readonly functional?: readonly number[];
  readonly endpoints?: readonly EndpointFacts[];
}

/** One configuration, self powered, 100 mA, as Klipper's firmware has them (bmAttributes 0xC0, bMaxPower 50). */
export function configuration(interfaces: readonly InterfaceFacts[]): Uint8Array {
  const body = interfaces.flatMap(({ kind, functional = [], endpoints = [] }, index) => {
    const own = [9, 4, index, 0, endpoints.length, ...kind, 0];
    const theirs = endpoints.flatMap(([address, attributes, size, interval]) => {
      const [low, high] = word(size);
      return [7, 5, address, attributes, low, high, interval];
    });
    return [...own, ...functional, ...theirs];
  });
  return Uint8Array.of(9, 2, ...word(9 + body.length), interfaces.length, 1, 0, 0xc0, 50, ...body);
}

/** US English, the only language of these devices. */
const LANGUAGE = 0x0409;

/**
 * Descriptors and SET_CONFIGURATION 1, as Klipper's firmware answers them (src/generic/usb_cdc.c, usb_state_ready);
 * all else stalls, SET_INTERFACE and GET_STATUS too, and so does a string in another language.
 */
export function standardRequest(
  setup: SetupPacket,
  facts: DeviceFacts,
  config: Uint8Array,
): Uint8Array | 'stall' {
  if (setup.bmRequestType === 0x80 && setup.bRequest === 6) {
    const kind = setup.wValue >> 8;
    const index = setup.wValue & 0xff;
    if (setup.wIndex !== (kind === 3 && index > 0 ? LANGUAGE : 0)) return 'stall';
    const whole =
      kind === 1
        ? deviceDescriptor(facts)
        : kind === 2
          ? config
          : kind === 3
            ? stringDescriptor(index === 0 ? undefined : deviceStrings(facts).get(index), index)
            : undefined;
    return whole?.slice(0, setup.wLength) ?? 'stall';
  }
  if (setup.bmRequestType === 0x00 && setup.bRequest === 9 && setup.wValue === 1) return new Uint8Array(0);
  return 'stall';
}

function stringDescriptor(text: string | undefined, index: number): Uint8Array | undefined {
  if (index === 0) return Uint8Array.of(4, 3, 0x09, 0x04);
  if (text === undefined) return undefined;
  const body = Buffer.from(text, 'utf16le');
  return Uint8Array.of(body.length + 2, 3, ...body);
}

function word(value: number): [number, number] {
  return [value & 0xff, value >> 8];
}
