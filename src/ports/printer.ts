// The printer around the board: Klipper's service and what Klipper knows of heat and motion.
import type { Unsubscribe } from './usb.ts';

export type KlipperState = 'ready' | 'error' | 'shutdown' | 'startup' | 'disconnected' | 'absent';

export interface HeaterReading {
  readonly name: string;
  readonly kind: 'extruder' | 'bed' | 'other';
  readonly targetC: number;
  readonly temperatureC: number;
}

/** One look at the printer, for the gate. */
export interface PrinterReading {
  readonly state: KlipperState;
  readonly printing: boolean;
  readonly paused: boolean;
  readonly moving: boolean;
  readonly zHomed: boolean;
  readonly heaters: readonly HeaterReading[];
  /** Age of the temperatures in ms; undefined when there are none. */
  readonly temperatureAgeMs?: number;
}

export type PrinterVerdict =
  | { readonly state: 'ready'; readonly version: string }
  | { readonly state: 'not_ready'; readonly reason: string }
  /** No printer instance belongs to this board. */
  | { readonly state: 'none' };

/** An MCU that printer.cfg reaches over a CAN bus. */
export interface PrinterCanNode {
  /** Its section: `mcu`, `mcu ebb`. */
  readonly section: string;
  /** 12 lower-case hex digits, as `canbus_uuid` has them. */
  readonly uuid: string;
  /** `canbus_interface`, which Klipper takes for `can0` where it is not given. */
  readonly interfaceName: string;
  /** The firmware's version, where Klipper has identified it. */
  readonly version: string | null;
}

export interface Printer {
  read(): Promise<PrinterReading>;
  /** Resolves when Klipper's service has been *seen* to be stopped. Throws `printer-unreachable`. */
  stopKlipper(): Promise<void>;
  /** Resolves when the service has been started; readiness is the verdict's business. */
  startKlipper(): Promise<void>;
  /** Hears each time that somebody else starts Klipper between `stopKlipper` and `startKlipper`. */
  onForeignStart(listener: () => void): Unsubscribe;
  /** Switches one of Moonraker's power devices; resolves when it was *seen* so. Throws `printer-unreachable`. */
  setPower(device: string, state: 'on' | 'off'): Promise<void>;
  /** What printer.cfg has on CAN buses; empty while Klipper cannot tell. Throws `printer-unreachable`. */
  canNodes(): Promise<readonly PrinterCanNode[]>;
  /** Waits until Klipper has made up its mind about the board, at most `timeoutMs`. */
  verdict(timeoutMs: number): Promise<PrinterVerdict>;
}
