// Virtual bench, electrics: the host's pins, the two wires, and what they do to BOOT0 and NRST of one board.

import type { BenchClock } from './clock.ts';
import { ResetNode } from './reset-node.ts';

/** What a pin of the host does. All three are possible; only some are allowed. */
export type Drive = 'high' | 'low' | 'floating';
export type Level = 'high' | 'low';

export interface LineSettings {
  /** Host pins the two wires are soldered to, normalised: `gpio26`. */
  boot0Pin: string;
  nrstPin: string;
  /** The BOOT0 jumper ties the pin to 3.3 V. */
  jumperFitted: boolean;
  boot0WireMissing: boolean;
  nrstWireMissing: boolean;
  wiresSwapped: boolean;
  /** BOOT1 (PB2) pulled high, as some displays on EXP do; it matters on F4 only. */
  boot1High: boolean;
  resetCapacitorUf: number;
  /** The chip's own pull-up on NRST: 30 to 50 kOhm, 40 typical (STM32F446 data sheet, NRST pin). */
  pullUpKohm: number;
  /** A Raspberry Pi kernel keeps the last level of a released line (persist_gpio_outputs). */
  persistOutputs: boolean;
}

export const DEFAULT_LINES: LineSettings = {
  boot0Pin: 'gpio26',
  nrstPin: 'gpio19',
  jumperFitted: false,
  boot0WireMissing: false,
  nrstWireMissing: false,
  wiresSwapped: false,
  boot1High: false,
  resetCapacitorUf: 0.1,
  pullUpKohm: 40,
  persistOutputs: true,
};

export interface LineChange {
  /** Running number, from 1. */
  readonly n: number;
  readonly pin: string;
  readonly drive: Drive;
}

export interface ElectricalFault {
  readonly atMs: number;
  readonly what: 'nrst-driven-high' | 'boot0-driven-low';
  readonly message: string;
}

/** Told when the chip sees its reset fall and rise; BOOT0 and BOOT1 are sampled at the rise. */
export interface ResetWatcher {
  resetAsserted(): void;
  resetReleased(boot0: Level, boot1: Level): void;
}

/** The electrics of one board, and the levels on the host's pins: these outlive every program that set them. */
export class BoardLines {
  readonly settings: LineSettings;
  readonly faults: ElectricalFault[] = [];
  readonly #clock: BenchClock;
  readonly #nrst: ResetNode;
  readonly #pins = new Map<string, Drive>();
  readonly #listeners = new Set<(change: LineChange) => void>();
  #watcher: ResetWatcher | undefined;
  #changes = 0;
  #buttonPressed = false;
  #powered = false;

  constructor(clock: BenchClock, settings: Partial<LineSettings> = {}) {
    this.#clock = clock;
    this.settings = { ...DEFAULT_LINES, ...settings };
    this.#nrst = new ResetNode(clock, this.settings, (inReset) => {
      if (inReset) this.#watcher?.resetAsserted();
      else this.#watcher?.resetReleased(this.boot0(), this.boot1());
    });
  }

  watch(watcher: ResetWatcher): void {
    this.#watcher = watcher;
  }

  /** Called after each change of a host pin, and after it has been put on disk. Kill tests hang on here. */
  onLineChange(listener: (change: LineChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The levels the host's pins were left at, from an earlier process. */
  restore(pins: Readonly<Record<string, Drive>>): void {
    for (const [pin, drive] of Object.entries(pins)) this.#pins.set(pin, drive);
    this.#noteFaults();
  }

  pins(): Record<string, Drive> {
    return Object.fromEntries(this.#pins);
  }

  pinDrive(pin: string): Drive {
    return this.#pins.get(pin) ?? 'floating';
  }

  /** Any level on any host pin, allowed or not: what a careless program could do. */
  drivePin(pin: string, drive: Drive): void {
    if (this.pinDrive(pin) === drive) return;
    this.#pins.set(pin, drive);
    this.#noteFaults();
    this.#nrst.drive(this.#pullOnNrst());
    this.#changes++;
    for (const listener of this.#listeners) listener({ n: this.#changes, pin, drive });
  }

  /** Raw way in for tests, by wire instead of by pin. */
  drive(line: 'boot0' | 'nrst', drive: Drive): void {
    this.drivePin(line === 'boot0' ? this.settings.boot0Pin : this.settings.nrstPin, drive);
  }

  button(pressed: boolean): void {
    this.#buttonPressed = pressed;
    this.#nrst.drive(this.#pullOnNrst());
  }

  setJumper(fitted: boolean): void {
    this.settings.jumperFitted = fitted;
    this.#noteFaults();
  }

  power(on: boolean): void {
    this.#powered = on;
    this.#nrst.power(on, this.#pullOnNrst());
  }

  /** A bench reopened by a later process: whatever the capacitor had to do is done. */
  powerSettled(): void {
    this.#powered = true;
    this.#nrst.powerSettled(this.#pullOnNrst());
  }

  get inReset(): boolean {
    return this.#nrst.inReset;
  }

  /** Somebody pulls NRST low: without a change from outside it stays in reset. */
  get heldInReset(): boolean {
    return this.#pullOnNrst() === 'low';
  }

  /** NRST as a fraction of VDD, now. */
  get nrstVoltage(): number {
    return this.#nrst.voltage;
  }

  boot0(): Level {
    if (!this.#powered) return 'low';
    // The board pulls down; a fitted jumper wins over a host pin that pulls low: that is the short.
    return this.settings.jumperFitted || this.#hostDriveOf('boot0') === 'high' ? 'high' : 'low';
  }

  boot1(): Level {
    return this.settings.boot1High && this.#powered ? 'high' : 'low';
  }

  /** What an input of the host would read at `pin`. */
  pinLevel(pin: string): Level {
    const node = this.#nodeAt(pin);
    const own = this.pinDrive(pin);
    if (own !== 'floating') return own;
    if (node === 'boot0') return this.boot0();
    // A host input turns over near the middle of its supply.
    if (node === 'nrst') return this.#nrst.voltage > 0.5 ? 'high' : 'low';
    // A pin with nothing on it: pulled down for BOOT0, pulled up for NRST.
    return pin === this.settings.nrstPin ? 'high' : 'low';
  }

  stop(): void {
    this.#nrst.stop();
    this.#watcher = undefined;
  }

  #nodeAt(pin: string): 'boot0' | 'nrst' | undefined {
    const { boot0Pin, nrstPin, wiresSwapped, boot0WireMissing, nrstWireMissing } = this.settings;
    const boot0At = wiresSwapped ? nrstPin : boot0Pin;
    const nrstAt = wiresSwapped ? boot0Pin : nrstPin;
    if (pin === boot0At && !boot0WireMissing) return 'boot0';
    if (pin === nrstAt && !nrstWireMissing) return 'nrst';
    return undefined;
  }

  #hostDriveOf(node: 'boot0' | 'nrst'): Drive {
    for (const [pin, drive] of this.#pins) if (this.#nodeAt(pin) === node) return drive;
    return 'floating';
  }

  #pullOnNrst(): Drive {
    return this.#buttonPressed ? 'low' : this.#hostDriveOf('nrst');
  }

  #noteFaults(): void {
    const atMs = this.#clock.now();
    if (this.#hostDriveOf('nrst') === 'high') {
      this.faults.push({ atMs, what: 'nrst-driven-high', message: 'the host drove NRST high' });
    }
    if (this.#hostDriveOf('boot0') === 'low') {
      const short = this.settings.jumperFitted ? ': the fitted jumper shorts the pin to 3.3 V' : '';
      this.faults.push({ atMs, what: 'boot0-driven-low', message: `the host drove BOOT0 low${short}` });
    }
  }
}
