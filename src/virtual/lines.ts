// Virtual bench, electrics: the host's pins, the two wires, and what they do to BOOT0 and NRST of one board.

import { after, type BenchClock } from './clock.ts';

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

/** STM32 data sheets, I/O static characteristics: VIH 0.7 VDD, VIL 0.3 VDD, with a Schmitt trigger between. */
const RELEASED_ABOVE = 0.7;
const ASSERTED_BELOW = 0.3;
/** A host pin driving low, in kOhm: about 40 Ohm on a Raspberry Pi. Discharge is fast, not instant. */
const HOST_LOW_KOHM = 0.04;

/** Told when the chip sees its reset fall and rise; BOOT0 and BOOT1 are sampled at the rise. */
export interface ResetWatcher {
  resetAsserted(): void;
  resetReleased(boot0: Level, boot1: Level): void;
}

/**
 * The electrics of one board. NRST is a capacitor that the chip's pull-up charges and the host or the button
 * empties; the chip is out of reset when the voltage has passed the threshold, however late that is.
 */
export class BoardLines {
  readonly settings: LineSettings;
  readonly faults: ElectricalFault[] = [];
  readonly #clock: BenchClock;
  readonly #pins = new Map<string, Drive>();
  readonly #listeners = new Set<(change: LineChange) => void>();
  #watcher: ResetWatcher | undefined;
  #changes = 0;
  #buttonPressed = false;
  #powered = false;
  /** The NRST voltage as a fraction of VDD at `#voltageAt`, and where it is heading. */
  #voltage = 0;
  #voltageAt = 0;
  #inReset = true;
  #cancelCrossing: () => void = () => {};

  constructor(clock: BenchClock, settings: Partial<LineSettings> = {}) {
    this.#clock = clock;
    this.settings = { ...DEFAULT_LINES, ...settings };
  }

  watch(watcher: ResetWatcher): void {
    this.#watcher = watcher;
  }

  /** Called after each change of a host pin, and after it has been put on disk. Kill tests hang on here. */
  onLineChange(listener: (change: LineChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The levels the host's pins were left at, from an earlier process: electrically settled by now. */
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
    this.#settle();
    this.#changes++;
    for (const listener of this.#listeners) listener({ n: this.#changes, pin, drive });
  }

  /** Raw way in for tests, by wire instead of by pin. */
  drive(line: 'boot0' | 'nrst', drive: Drive): void {
    this.drivePin(line === 'boot0' ? this.settings.boot0Pin : this.settings.nrstPin, drive);
  }

  button(pressed: boolean): void {
    this.#buttonPressed = pressed;
    this.#settle();
  }

  setJumper(fitted: boolean): void {
    this.settings.jumperFitted = fitted;
    this.#noteFaults();
  }

  /** The supply came or went. NRST starts empty, so a cold start waits for the capacitor too. */
  power(on: boolean): void {
    this.#powered = on;
    if (!on) {
      this.#cancelCrossing();
      this.#voltage = 0;
      this.#voltageAt = this.#clock.now();
      this.#inReset = true;
      return;
    }
    this.#settle();
  }

  /** A bench reopened by a later process: whatever the capacitor had to do is done. */
  powerSettled(): void {
    this.#powered = true;
    this.#voltageAt = this.#clock.now();
    this.#voltage = this.#pulledLow() ? 0 : 1;
    this.#settle();
  }

  get inReset(): boolean {
    return this.#inReset;
  }

  /** Somebody pulls NRST low: without a change from outside it stays in reset. */
  get heldInReset(): boolean {
    return this.#pulledLow();
  }

  boot0(): Level {
    if (!this.#powered) return 'low';
    const host = this.#hostDriveOf('boot0');
    // A fitted jumper wins over a host pin that pulls low: that is the short.
    if (this.settings.jumperFitted || host === 'high') return 'high';
    return 'low';
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
    if (node === 'nrst') return this.nrstVoltage() > 0.5 ? 'high' : 'low';
    // A pin with nothing on it: pulled down for BOOT0, pulled up or bias off for NRST.
    return pin === this.settings.nrstPin ? 'high' : 'low';
  }

  /** NRST as a fraction of VDD, now. */
  nrstVoltage(): number {
    const elapsed = this.#clock.now() - this.#voltageAt;
    const { target, tauMs } = this.#course();
    if (tauMs === 0) return target;
    return target + (this.#voltage - target) * Math.exp(-elapsed / tauMs);
  }

  stop(): void {
    this.#cancelCrossing();
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

  #pulledLow(): boolean {
    return this.#buttonPressed || this.#hostDriveOf('nrst') === 'low';
  }

  #course(): { target: number; tauMs: number } {
    // uF times kOhm is ms.
    if (this.#pulledLow()) return { target: 0, tauMs: this.settings.resetCapacitorUf * HOST_LOW_KOHM };
    const driven = this.#hostDriveOf('nrst') === 'high';
    return {
      target: 1,
      tauMs: this.settings.resetCapacitorUf * (driven ? HOST_LOW_KOHM : this.settings.pullUpKohm),
    };
  }

  #lastCourse: { target: number; tauMs: number } = { target: 0, tauMs: 0 };

  /** The drive on NRST may have changed: keep the voltage, head for the new target, watch for the crossing. */
  #settle(): void {
    if (!this.#powered) return;
    const now = this.#clock.now();
    const last = this.#lastCourse;
    const elapsed = now - this.#voltageAt;
    if (elapsed > 0) {
      this.#voltage =
        last.tauMs === 0
          ? last.target
          : last.target + (this.#voltage - last.target) * Math.exp(-elapsed / last.tauMs);
    }
    this.#voltageAt = now;
    const course = this.#course();
    this.#lastCourse = course;
    this.#cancelCrossing();
    const threshold = course.target === 0 ? ASSERTED_BELOW : RELEASED_ABOVE;
    const crossed = course.target === 0 ? this.#voltage <= threshold : this.#voltage >= threshold;
    if (crossed || course.tauMs === 0) {
      this.#cross(course.target);
      return;
    }
    const waitMs = course.tauMs * Math.log((this.#voltage - course.target) / (threshold - course.target));
    this.#cancelCrossing = after(this.#clock, waitMs, () => this.#cross(course.target));
  }

  #cross(target: number): void {
    if (target === 0 && !this.#inReset) {
      this.#inReset = true;
      this.#watcher?.resetAsserted();
    } else if (target === 1 && this.#inReset) {
      this.#inReset = false;
      this.#watcher?.resetReleased(this.boot0(), this.boot1());
    }
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
