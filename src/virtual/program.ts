// Virtual bench, the virtual CPU: what can lie in flash and be started.

import type { KatapultProtocol } from './katapult/frames.ts';
import type { ChipSilicon } from './silicon/silicon.ts';

export type KlipperWire = 'usb' | 'bridge' | 'can' | 'uart';

export interface KlipperProgram {
  readonly kind: 'klipper';
  readonly mcu: string;
  readonly version: string;
  readonly transport: KlipperWire;
  /** FLASH_APPLICATION_ADDRESS: where it was linked, and runs. */
  readonly linkAddress: number;
  /** CANBUS_FREQUENCY, in builds that speak CAN only. */
  readonly canFrequency: number | undefined;
  /** As embedded: what `identify` hands out. */
  readonly dictionary: Uint8Array;
}

export interface KatapultProgram {
  readonly kind: 'katapult';
  readonly mcu: string;
  readonly version: string;
  readonly transport: 'usb' | 'can';
  readonly protocol: KatapultProtocol;
  readonly appAddress: number;
}

export interface DeployerProgram {
  readonly kind: 'deployer';
  readonly katapult: Uint8Array;
}

export type Program =
  | KlipperProgram
  | KatapultProgram
  | DeployerProgram
  | { readonly kind: 'stock' }
  /** It crashes or hangs: nothing ever appears on USB. */
  | { readonly kind: 'nothing'; readonly why: string };

export interface CpuBoard {
  readonly mcu: string;
  readonly crystalHz: number;
}

/** Where an image was found, as the CPU starts it. */
export interface Place {
  readonly address: number;
  /** Of the reset handler, from `address`. */
  readonly entry: number;
  readonly end: number;
  readonly mcu: ChipSilicon;
}

export function nothing(why: string): Program {
  return { kind: 'nothing', why };
}
