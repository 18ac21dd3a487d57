// Virtual board for other programs: what a configuration descriptor says, for protocols that tell it in their own way.

import type { UsbFunction } from '../usb-function.ts';

export interface InterfaceSummary {
  readonly number: number;
  readonly kind: readonly [number, number, number];
  readonly endpoints: readonly EndpointSummary[];
}

export interface EndpointSummary {
  readonly address: number;
  /** USB 2.0 table 9-13: 0 control, 1 isochronous, 2 bulk, 3 interrupt. */
  readonly type: number;
  readonly packetBytes: number;
  readonly interval: number;
}

const DESCRIPTOR = { configuration: 2, interface: 4, endpoint: 5 } as const;

/** The first alternate setting of each interface (USB 2.0, 9.6.3 to 9.6.6). Asks the chip, as a host would. */
export async function readConfiguration(fn: UsbFunction): Promise<readonly InterfaceSummary[]> {
  const setup = {
    bmRequestType: 0x80,
    bRequest: 6,
    wValue: DESCRIPTOR.configuration << 8,
    wIndex: 0,
    wLength: 1024,
  };
  const bytes = await fn.control(setup, new Uint8Array(0));
  return bytes === 'stall' ? [] : parseConfiguration(bytes);
}

export function parseConfiguration(bytes: Uint8Array): readonly InterfaceSummary[] {
  const found: { number: number; kind: [number, number, number]; endpoints: EndpointSummary[] }[] = [];
  let isFirstSetting = false;
  for (let at = 0; at + 2 <= bytes.length; at += Math.max(2, bytes[at] ?? 0)) {
    const byte = (offset: number): number => bytes[at + offset] ?? 0;
    if (byte(1) === DESCRIPTOR.interface) {
      isFirstSetting = byte(3) === 0;
      if (isFirstSetting) found.push({ number: byte(2), kind: [byte(5), byte(6), byte(7)], endpoints: [] });
    }
    if (byte(1) === DESCRIPTOR.endpoint && isFirstSetting)
      found.at(-1)?.endpoints.push({
        address: byte(2),
        type: byte(3) & 3,
        packetBytes: byte(4) | (byte(5) << 8),
        interval: byte(6),
      });
  }
  return found;
}
