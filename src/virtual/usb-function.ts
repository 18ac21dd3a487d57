// The seam inside the virtual board: whatever runs on the chip shows itself to USB as one of these.

import type { CanDevice, DeviceEvents } from './can-device.ts';

/** The eight bytes of a SETUP packet, USB 2.0 table 9-2. */
export interface SetupPacket {
  readonly bmRequestType: number;
  readonly bRequest: number;
  readonly wValue: number;
  readonly wIndex: number;
  readonly wLength: number;
}

/** Endpoints beside endpoint 0. Addresses are as in the descriptors: 0x82 is IN, number 2. */
export interface UsbPipes {
  /**
   * One OUT transfer; resolves when the chip has taken all of it (until then it answers NAK). `signal`: the host gives up,
   * and the packets that the chip has not taken never come.
   */
  out(address: number, bytes: Uint8Array, signal?: AbortSignal): Promise<'ok' | 'stall'>;
  /** The next packet that the chip has for the host; undefined is NAK. */
  take(address: number): Uint8Array | undefined;
  /** Told when `take` may have something. */
  onReady(listener: () => void): () => void;
}

/** What the host's driver has set: USB CDC PSTN 1.2, 6.3.10 and 6.3.12. */
export interface SerialLine {
  readonly baud: number;
  readonly dtr: boolean;
  readonly rts: boolean;
}

export interface UsbFunction {
  /** The 18 bytes of the device descriptor, USB 2.0 table 9-8. */
  readonly deviceDescriptor: Uint8Array;
  /** The strings by index, as the chip's descriptors name them, for hosts that only list. */
  readonly strings: ReadonlyMap<number, string>;
  /**
   * One control transfer. Resolves when the chip completes the status stage, so a busy chip holds it.
   * For device-to-host the answer holds at most wLength bytes; for host-to-device an empty array is ACK.
   */
  control(setup: SetupPacket, data: Uint8Array): Promise<Uint8Array | 'stall'>;
  /** The bulk endpoints of a CDC-ACM function, for cdc_acm; absent where there is no tty. */
  readonly tty?: { readonly out: number; readonly into: number };
  /** The pull-up is there and nobody answers behind it: no host finds a device. */
  readonly isDead?: () => boolean;
  /** Absent where there is nothing but endpoint 0. */
  readonly pipes?: UsbPipes;
  /** As the board sees it, for CDC-ACM; firmware may take a change for a request (the 1200 baud touch). */
  readonly serialLine?: () => SerialLine;
  /** A bridge between USB and CAN waits for its wire; without one, frames are echoed and go nowhere. */
  readonly joinCan?: (start: (events: DeviceEvents) => CanDevice) => void;
  /** The cable was pulled, reset fell, or power went: stop at once, keep nothing running. */
  stop(): void;
}
