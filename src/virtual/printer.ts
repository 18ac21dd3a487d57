// Virtual bench, port Printer: a stand-in for Klipper's service and what Moonraker tells about it.

import { OctopusError } from '../errors.ts';
import type {
  KlipperState,
  Printer,
  PrinterCanNode,
  PrinterReading,
  PrinterVerdict,
} from '../ports/printer.ts';
import type { Unsubscribe } from '../ports/usb.ts';
import type { BenchClock } from './clock.ts';
import type { KlipperProgram } from './cpu.ts';
import type { BenchTimes } from './times.ts';

/** How printer.cfg reaches the board: a serial port it names, or a CAN uuid. */
export type PrinterWire = 'serial' | 'can';

/** Klippy looks for a missing board for 90 s before it gives up (klippy/serialhdl.py). */
const CONNECT_MS = 90_000;
/** The look at the service and at the board. */
const POLL_MS = 100;

export class VirtualPrinter implements Printer {
  /** Overrides for `read`: printing, heaters, state, ... */
  reading: Partial<PrinterReading> = {};
  /** Moonraker and systemd do not answer. */
  unreachable = false;
  /** Another reason why Klipper stays not ready, such as an outdated second board. */
  notReady: string | undefined;
  wire: PrinterWire = 'serial';
  /** Moonraker's power devices and how they stand. */
  readonly power = new Map<string, 'on' | 'off'>();
  /** Switching a power device to this state fails. */
  powerFailsTo: 'on' | 'off' | undefined;
  /** What printer.cfg has on CAN buses. */
  nodes: readonly PrinterCanNode[] = [];
  readonly #clock: BenchClock;
  readonly #times: BenchTimes;
  readonly #firmware: () => KlipperProgram | undefined;
  #running = true;
  #startedAt = Number.NEGATIVE_INFINITY;
  #connected = false;
  #lost = false;
  /** Stopped by the flasher, which has not started it again. */
  #held = false;
  readonly #foreignStartListeners = new Set<() => void>();

  /** `firmware` is the Klipper that can be reached on the board now, if any. */
  constructor(clock: BenchClock, times: BenchTimes, firmware: () => KlipperProgram | undefined) {
    this.#clock = clock;
    this.#times = times;
    this.#firmware = firmware;
  }

  /** True while the service is there and so holds the board's serial port. */
  get serviceRunning(): boolean {
    return this.#running;
  }

  /** The board left its wire; a Klippy that was connected shuts down and stays so until it is started again. */
  boardLeft(): void {
    if (this.#running && this.#connected) this.#lost = true;
  }

  async read(): Promise<PrinterReading> {
    await Promise.resolve();
    this.#check();
    return {
      state: this.#state(),
      printing: false,
      paused: false,
      moving: false,
      zHomed: false,
      heaters: [
        { name: 'extruder', kind: 'extruder', targetC: 0, temperatureC: 24.1 },
        { name: 'heater_bed', kind: 'bed', targetC: 0, temperatureC: 23.8 },
      ],
      temperatureAgeMs: 250,
      ...this.reading,
    };
  }

  async stopKlipper(): Promise<void> {
    this.#check();
    // The port stays taken until the process has really ended.
    if (this.#running) await this.#clock.sleep(this.#times.serviceStopMs);
    this.#running = false;
    this.#connected = false;
    this.#lost = false;
    this.#held = true;
  }

  async startKlipper(): Promise<void> {
    this.#check();
    this.#held = false;
    if (this.#running) return;
    await this.#clock.sleep(this.#times.serviceStartMs);
    this.#run();
  }

  onForeignStart(listener: () => void): Unsubscribe {
    this.#foreignStartListeners.add(listener);
    return () => void this.#foreignStartListeners.delete(listener);
  }

  /** Somebody presses Start in Mainsail: the service runs and holds the board's serial port, where there is one. */
  foreignStart(): void {
    if (this.#running) return;
    this.#run();
    if (!this.#held) return;
    for (const listener of this.#foreignStartListeners) listener();
  }

  /** The host's power goes, and with it Moonraker and Klipper, whoever had stopped or started that. */
  hostDown(): void {
    this.unreachable = true;
    this.#running = false;
    this.#connected = false;
    this.#lost = false;
    this.#held = false;
    this.#foreignStartListeners.clear();
  }

  /** The host has booted: both units are enabled, so both run. */
  hostUp(): void {
    this.unreachable = false;
    this.#run();
  }

  async setPower(device: string, state: 'on' | 'off'): Promise<void> {
    await Promise.resolve();
    this.#check();
    if (this.power.has(device) && state !== this.powerFailsTo) {
      this.power.set(device, state);
      return;
    }
    throw new OctopusError(
      'printer-unreachable',
      `Moonraker cannot switch the power device "${device}" ${state}`,
      { advice: 'Look at [power] in moonraker.conf.', place: 'power_device' },
    );
  }

  async canNodes(): Promise<readonly PrinterCanNode[]> {
    await Promise.resolve();
    this.#check();
    return this.#running ? this.nodes : [];
  }

  async verdict(timeoutMs: number): Promise<PrinterVerdict> {
    this.#check();
    const until = this.#clock.now() + timeoutMs;
    for (;;) {
      const state = this.#state();
      const firmware = this.#reachable();
      if (state === 'ready' && firmware !== undefined) return { state: 'ready', version: firmware.version };
      if (state === 'error' || state === 'shutdown' || this.#clock.now() >= until) {
        return { state: 'not_ready', reason: this.#reason(state) };
      }
      await this.#clock.sleep(Math.min(POLL_MS, Math.max(1, until - this.#clock.now())));
    }
  }

  #run(): void {
    this.#running = true;
    this.#startedAt = this.#clock.now();
  }

  #state(): KlipperState {
    if (!this.#running) return 'disconnected';
    const sinceStart = this.#clock.now() - this.#startedAt;
    const there = this.#reachable() !== undefined;
    if (this.#lost) return 'shutdown';
    if (!there) return sinceStart > CONNECT_MS ? 'error' : 'startup';
    if (sinceStart < this.#times.klippyReadyMs) return 'startup';
    if (this.notReady !== undefined) return 'error';
    this.#connected = true;
    return 'ready';
  }

  #reachable(): KlipperProgram | undefined {
    const firmware = this.#firmware();
    if (firmware === undefined) return undefined;
    // printer.cfg names one way to the board: a bridge where it expects a tty is no board to it.
    return (firmware.transport === 'usb') === (this.wire === 'serial') ? firmware : undefined;
  }

  #reason(state: KlipperState): string {
    if (state === 'disconnected') return "Klipper's service is not running";
    if (state === 'shutdown') return "Lost communication with MCU 'mcu'";
    return this.notReady ?? "mcu 'mcu': Unable to connect";
  }

  #check(): void {
    if (!this.unreachable) return;
    throw new OctopusError('printer-unreachable', 'Moonraker does not answer', {
      advice: 'Check that Moonraker runs.',
    });
  }
}
