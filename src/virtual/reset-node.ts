// Virtual bench, electrics: NRST as a capacitor that the chip's pull-up charges and the host or the button empties.

import { after, type BenchClock } from './clock.ts';

/** STM32 data sheets, I/O static characteristics: VIH 0.7 VDD, VIL 0.3 VDD, with a Schmitt trigger between. */
const RELEASED_ABOVE = 0.7;
const ASSERTED_BELOW = 0.3;
/** A host pin or button that drives, in kOhm: about 40 Ohm on a Raspberry Pi. Discharge is fast, not instant. */
const DRIVER_KOHM = 0.04;

interface Course {
  readonly target: 0 | 1;
  readonly tauMs: number;
}

/** Voltages are fractions of VDD. The chip is out of reset when the threshold has been passed, however late. */
export class ResetNode {
  readonly #clock: BenchClock;
  readonly #settings: { readonly resetCapacitorUf: number; readonly pullUpKohm: number };
  readonly #onCross: (inReset: boolean) => void;
  #powered = false;
  #inReset = true;
  /** The voltage at `#since`, and where it has been heading from there. */
  #voltage = 0;
  #since = 0;
  #course: Course = { target: 0, tauMs: 0 };
  #cancelCrossing: () => void = () => {};

  constructor(
    clock: BenchClock,
    settings: { readonly resetCapacitorUf: number; readonly pullUpKohm: number },
    onCross: (inReset: boolean) => void,
  ) {
    this.#clock = clock;
    this.#settings = settings;
    this.#onCross = onCross;
  }

  get inReset(): boolean {
    return this.#inReset;
  }

  get voltage(): number {
    const { target, tauMs } = this.#course;
    if (tauMs === 0) return target;
    return target + (this.#voltage - target) * Math.exp(-(this.#clock.now() - this.#since) / tauMs);
  }

  /** Without power nothing charges; with it the capacitor starts empty, so a cold start waits for it too. */
  power(on: boolean, drive: 'low' | 'high' | 'floating'): void {
    this.#powered = on;
    this.#cancelCrossing();
    this.#voltage = 0;
    this.#since = this.#clock.now();
    this.#course = { target: 0, tauMs: 0 };
    this.#inReset = true;
    if (on) this.drive(drive);
  }

  /** As `power`, but whatever the capacitor had to do is done. */
  powerSettled(drive: 'low' | 'high' | 'floating'): void {
    this.power(true, 'low');
    this.#course = { target: drive === 'low' ? 0 : 1, tauMs: 0 };
    this.drive(drive);
  }

  /** What pulls at NRST may have changed: the voltage goes on from where it is, towards its new target. */
  drive(drive: 'low' | 'high' | 'floating'): void {
    if (!this.#powered) return;
    this.#voltage = this.voltage;
    this.#since = this.#clock.now();
    // uF times kOhm is ms.
    const kOhm = drive === 'floating' ? this.#settings.pullUpKohm : DRIVER_KOHM;
    const course: Course = { target: drive === 'low' ? 0 : 1, tauMs: this.#settings.resetCapacitorUf * kOhm };
    this.#course = course;
    this.#cancelCrossing();
    const { target, tauMs } = course;
    const threshold = target === 0 ? ASSERTED_BELOW : RELEASED_ABOVE;
    const crossed = target === 0 ? this.#voltage <= threshold : this.#voltage >= threshold;
    if (crossed || tauMs === 0) {
      this.#cross(target === 0);
      return;
    }
    const waitMs = tauMs * Math.log((this.#voltage - target) / (threshold - target));
    this.#cancelCrossing = after(this.#clock, waitMs, () => this.#cross(target === 0));
  }

  stop(): void {
    this.#cancelCrossing();
  }

  #cross(inReset: boolean): void {
    if (this.#inReset === inReset) return;
    this.#inReset = inReset;
    this.#onCross(inReset);
  }
}
