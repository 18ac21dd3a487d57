// Hardware, USB: the part of the package usb that is used, its native layer. Above it lie WebUSB's rules, which lack
// time-outs in their types and let a socket that cannot be opened end the process (an error thrown in a timer).
import { OctopusError } from '../errors.ts';
import { textOf } from './system-error.ts';

export interface NativeSetup {
  readonly requestType: 'standard' | 'class';
  readonly recipient: 'device' | 'interface';
  readonly request: number;
  readonly value: number;
  readonly index: number;
}

/** nusb's device; every failure is an Error of code GenericFailure, told apart by its text alone. */
export interface NativeDevice {
  readonly vendorId: number;
  readonly productId: number;
  readonly bus: string;
  /** The kernel's device number. */
  readonly address: number;
  open(): Promise<void>;
  close(): Promise<void>;
  claimInterface(interfaceNumber: number): Promise<void>;
  releaseInterface(interfaceNumber: number): Promise<void>;
  selectAlternateInterface(interfaceNumber: number, alternateSetting: number): Promise<void>;
  nativeControlTransferIn(setup: NativeSetup, timeout: number, length: number): Promise<Uint8Array | null>;
  nativeControlTransferOut(setup: NativeSetup, timeout: number, data: Uint8Array): Promise<number>;
}

/** Hears udevd; keeps the process alive until both are removed. */
export interface NativeEmitter {
  addAttach(callback: () => void): Promise<void>;
  removeAttach(): Promise<void>;
  addDetach(callback: () => void): Promise<void>;
  removeDetach(): Promise<void>;
}

export interface NativeUsb {
  nativeGetDevices(): Promise<NativeDevice[]>;
  readonly Emitter: new () => NativeEmitter;
}

let loading: Promise<NativeUsb> | undefined;

/** Throws `no-hardware` where the package has nothing for this computer. */
export function loadUsb(): Promise<NativeUsb> {
  loading ??= load();
  return loading;
}

async function load(): Promise<NativeUsb> {
  // A file of the package, since what it exports of its own has only the layer above.
  const path: string = 'usb/index.js';
  const loaded: unknown = await import(path).catch((cause: unknown) => {
    throw new OctopusError('no-hardware', `the package usb does not load: ${textOf(cause)}`, {
      place: 'node_modules/usb',
      advice: 'Install the packages again: npm ci in the folder of octopus-flasher.',
      cause,
    });
  });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what usb/index.d.ts says
  return loaded as NativeUsb;
}
