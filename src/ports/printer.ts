// The printer around the board: Klipper's service and what Klipper knows of heat and motion.

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

export interface Printer {
  read(): Promise<PrinterReading>;
  /** Resolves when Klipper's service has been *seen* to be stopped. Throws `printer-unreachable`. */
  stopKlipper(): Promise<void>;
  /** Resolves when the service has been started; readiness is the verdict's business. */
  startKlipper(): Promise<void>;
  /** Waits until Klipper has made up its mind about the board, at most `timeoutMs`. */
  verdict(timeoutMs: number): Promise<PrinterVerdict>;
}
