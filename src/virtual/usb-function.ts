// The seam inside the virtual board: whatever runs on the chip shows itself to USB as one of these.

/** The eight bytes of a SETUP packet, USB 2.0 table 9-2. */
export interface SetupPacket {
  readonly bmRequestType: number;
  readonly bRequest: number;
  readonly wValue: number;
  readonly wIndex: number;
  readonly wLength: number;
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
  /** Bulk bytes of a CDC-ACM function, host to chip; absent where there is no tty. */
  readonly tty?: {
    write(bytes: Uint8Array): void;
    onBytes(listener: (bytes: Uint8Array) => void): () => void;
  };
  /** The cable was pulled, reset fell, or power went: stop at once, keep nothing running. */
  stop(): void;
}
