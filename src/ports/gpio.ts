// The two wires. The types allow only what may never hurt: BOOT0 is open source, NRST is open drain.

export type Boot0Drive = 'high' | 'floating';
export type NrstDrive = 'low' | 'floating';

/** Pins in Klipper's syntax: `gpio26`, `gpiochip1/gpio8`, a chip label with a line, or a line name. */
export interface LinePins {
  readonly boot0: string;
  readonly nrst: string;
}

/** Both lines of one board, requested together. */
export interface GpioLines {
  /** Drives or floats the lines; what is left out stays as it is. */
  set(levels: { boot0?: Boot0Drive; nrst?: NrstDrive }): Promise<void>;
  /** The electrical levels as the host's pins see them now, and whether the host drives them. */
  read(): Promise<{ boot0: 'high' | 'low'; nrst: 'high' | 'low'; driven: boolean }>;
  /** Gives the lines back. A Raspberry Pi keeps the last level of a released line: float both first. */
  close(): Promise<void>;
}

export interface GpioHost {
  /** Both lines, floating from the first moment. Throws `no-hardware` or `busy` naming chip and line. */
  open(pins: LinePins): Promise<GpioLines>;
}
