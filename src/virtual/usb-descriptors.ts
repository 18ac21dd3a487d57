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

/** A configuration of `interfaces` bare interface descriptors: class, subclass, protocol, endpoint count. */
export function configuration(
  interfaces: readonly (readonly [number, number, number, number])[],
): Uint8Array {
  const total = 9 + 9 * interfaces.length;
  const body = interfaces.flatMap(([kind, sub, protocol, endpoints], index) => [
    9,
    4,
    index,
    0,
    endpoints,
    kind,
    sub,
    protocol,
    0,
  ]);
  return Uint8Array.of(9, 2, ...word(total), interfaces.length, 1, 0, 0xc0, 50, ...body);
}

/** Device, configuration and string descriptors, SET_CONFIGURATION, SET_INTERFACE; anything else stalls. */
export function standardRequest(
  setup: SetupPacket,
  facts: DeviceFacts,
  config: Uint8Array,
): Uint8Array | 'stall' {
  if (setup.bmRequestType === 0x80 && setup.bRequest === 6) {
    const kind = setup.wValue >> 8;
    const index = setup.wValue & 0xff;
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
  if (setup.bmRequestType === 0x00 && setup.bRequest === 9) return new Uint8Array(0);
  if (setup.bmRequestType === 0x01 && setup.bRequest === 11) return new Uint8Array(0);
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
