// USB as the host sees it: devices at bus paths that come and go, and control transfers to one of them.

export type Unsubscribe = () => void;

export interface UsbDeviceInfo {
  /** Where it is plugged in: bus and port chain as Linux writes it, `1-1.2`. Survives re-enumeration. */
  readonly busPath: string;
  /** The kernel's device number: new at each enumeration, so two visits of one board differ. */
  readonly deviceNumber: number;
  readonly vendorId: number;
  readonly productId: number;
  readonly bcdDevice: number;
  readonly manufacturer?: string;
  readonly product?: string;
  readonly serial?: string;
  /** The CDC-ACM device node that belongs to it, if any: `/dev/ttyACM0`. */
  readonly ttyPath?: string;
}

export interface UsbChange {
  readonly kind: 'arrived' | 'left';
  readonly device: UsbDeviceInfo;
}

/** USB 2.0, table 9-2: the fields of a SETUP packet; the direction is the call's. */
export interface ControlSetup {
  readonly type: 'standard' | 'class';
  readonly recipient: 'device' | 'interface';
  readonly request: number;
  readonly value: number;
  readonly index: number;
}

/**
 * An opened DFU device with interface 0, alternate setting 0 claimed.
 * A STALL or a time-out is an answer. Only a lost device is an exception: `device-gone`.
 *
 * Endpoint 0 carries one transfer after the other. Who calls need not wait for the answer before the next call: calls are
 * carried out in the order in which they were made, each begins when the one before has ended, and its time-out counts
 * from there. A STALL ends one call alone. A time-out ends those that were queued behind it, too: they are not sent, and
 * answer `timeout`; who calls after that answer begins anew.
 */
export interface UsbDfuDevice {
  readonly info: UsbDeviceInfo;
  controlOut(setup: ControlSetup, data: Uint8Array, timeoutMs: number): Promise<'ok' | 'stall' | 'timeout'>;
  controlIn(
    setup: ControlSetup,
    length: number,
    timeoutMs: number,
  ): Promise<Uint8Array | 'stall' | 'timeout'>;
  /** Gives the device back; what is still under way is called off. A second call does nothing. */
  close(): Promise<void>;
}

export interface UsbBus {
  list(): Promise<readonly UsbDeviceInfo[]>;
  onChange(listener: (change: UsbChange) => void): Unsubscribe;
  /** Throws `device-gone`, `busy` naming who holds it, or `no-hardware` where it may not be opened. */
  openDfu(info: UsbDeviceInfo): Promise<UsbDfuDevice>;
}
