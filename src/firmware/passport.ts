// What is known about a piece of firmware from its own bytes.

export type FirmwareKind = 'klipper' | 'katapult' | 'katapult-deployer' | 'stock-bootloader' | 'unknown';

/** How the firmware talks to the host: USB serial, USB to CAN bridge, CAN node, or UART. */
export type Transport = 'usb' | 'bridge' | 'can' | 'serial';

/** What the recognisers find out; null is "the bytes do not say". */
export interface Traits {
  readonly kind: FirmwareKind;
  /** The address the program must lie at to run. */
  readonly linkAddress: number | null;
  /** As Kconfig names it: `stm32f446xx`. */
  readonly mcu: string | null;
  readonly version: string | null;
  readonly transport: Transport | null;
  /** Bits per second on CAN. Only Klipper's plain CAN builds carry it, bridges do not. */
  readonly canFrequency: number | null;
  /** Where a bootloader looks for its application; for a deployer, where the Katapult inside it will look. */
  readonly launchAddress: number | null;
  /** Of the core, in Hz; only Klipper carries it. The crystal's is nowhere in an image. */
  readonly clockFrequency: number | null;
  /** Exact length of the program, by its own start-up code; a file may be padded behind it. */
  readonly programBytes: number | null;
  /** The bytes end before the program does: a cut file, or only the first part of a chip's flash. */
  readonly isCut: boolean;
  /** Why it cannot run as it is, in words. */
  readonly damage: string | null;
}

export const NOTHING_KNOWN: Traits = {
  kind: 'unknown',
  linkAddress: null,
  mcu: null,
  version: null,
  transport: null,
  canFrequency: null,
  launchAddress: null,
  clockFrequency: null,
  programBytes: null,
  isCut: false,
  damage: null,
};

/** A sound firmware file. */
export interface Passport extends Omit<Traits, 'damage' | 'isCut'> {
  readonly name: string;
  readonly format: 'bin' | 'hex' | 'elf';
  /** Where a HEX or ELF file says it belongs; raw binary does not say. */
  readonly containerAddress: number | null;
  /** Of the bytes that go into flash. */
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly initialStackPointer: number;
  readonly resetVector: number;
}

/** What lies in a chip at an address. */
export interface Resident extends Omit<Traits, 'kind'> {
  readonly kind: 'blank' | FirmwareKind;
  readonly address: number;
  /** Of the program alone, without what lies behind it; null where its end is not known or not in the bytes. */
  readonly sizeBytes: number | null;
  readonly sha256: string | null;
}
