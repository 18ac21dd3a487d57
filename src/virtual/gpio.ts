// Virtual bench, port GpioHost: requests of the host's pins, as the kernel keeps them.

import { OctopusError } from '../errors.ts';
import type { Boot0Drive, GpioHost, GpioLines, LinePins, NrstDrive } from '../ports/gpio.ts';
import type { BoardLines, Drive, Level } from './lines.ts';

/** Names of the first chip on a Raspberry Pi; any other chip is a chip that the bench does not have. */
const CHIPS = new Set(['gpiochip0', 'pinctrl-bcm2835', 'pinctrl-bcm2711', 'pinctrl-rp1']);

export class VirtualGpio implements GpioHost {
  readonly #boards: readonly BoardLines[];
  readonly #held = new Set<string>();
  /** Set to refuse every request, as a host without a usable chip does. */
  refuse: 'no-hardware' | undefined;

  constructor(boards: readonly BoardLines[]) {
    this.#boards = boards;
  }

  open(pins: LinePins): Promise<GpioLines> {
    return Promise.resolve().then(() => this.#open(pins));
  }

  drive(pin: string): Drive {
    return this.#boards[0]?.pinDrive(pin) ?? 'floating';
  }

  setPin(pin: string, drive: Drive): void {
    // A pin may carry wires of any board; each board knows its own.
    for (const lines of this.#boards) lines.drivePin(pin, drive);
  }

  level(pin: string): Level {
    for (const lines of this.#boards) {
      if (pin === lines.settings.boot0Pin || pin === lines.settings.nrstPin) return lines.pinLevel(pin);
    }
    const own = this.drive(pin);
    return own === 'floating' ? 'low' : own;
  }

  release(pins: readonly string[]): void {
    for (const pin of pins) {
      this.#held.delete(pin);
      for (const lines of this.#boards) {
        if (!lines.settings.persistOutputs) lines.drivePin(pin, 'floating');
      }
    }
  }

  /** The host is off: nothing drives its pins, and what held them is gone. */
  hostDown(): void {
    for (const lines of this.#boards)
      for (const pin of Object.keys(lines.pins())) lines.drivePin(pin, 'floating');
    this.#held.clear();
  }

  #open(pins: LinePins): GpioLines {
    if (this.refuse !== undefined) {
      throw new OctopusError(this.refuse, 'the GPIO chip cannot be opened', {
        advice: 'Check that the host has GPIO and that this user may use it.',
      });
    }
    const boot0 = normalise(pins.boot0);
    const nrst = normalise(pins.nrst);
    for (const pin of [boot0, nrst]) {
      if (this.#held.has(pin)) {
        throw new OctopusError('busy', `gpiochip0 line ${pin} is in use by another program`, {
          advice: 'End the program that holds the line.',
          place: `gpiochip0/${pin}`,
        });
      }
    }
    if (boot0 === nrst) {
      throw new OctopusError('busy', `gpiochip0 line ${pins.nrst} was asked for twice`, {
        advice: 'BOOT0 and reset need a pin each.',
        place: `gpiochip0/${pins.nrst}`,
      });
    }
    this.#held.add(boot0);
    this.#held.add(nrst);
    // Requested as inputs, so a level left by an earlier process ends here and none is driven in between.
    this.setPin(boot0, 'floating');
    this.setPin(nrst, 'floating');
    return new VirtualGpioLines(this, boot0, nrst);
  }
}

class VirtualGpioLines implements GpioLines {
  readonly #gpio: VirtualGpio;
  readonly #boot0: string;
  readonly #nrst: string;
  #closed = false;

  constructor(gpio: VirtualGpio, boot0: string, nrst: string) {
    this.#gpio = gpio;
    this.#boot0 = boot0;
    this.#nrst = nrst;
  }

  async set(levels: { boot0?: Boot0Drive; nrst?: NrstDrive }): Promise<void> {
    this.#check();
    // Two lines of one request may still change one after the other: reset first is the unkind order when
    // it is released, since BOOT0 then changes behind the rising edge.
    if (levels.nrst !== undefined) this.#gpio.setPin(this.#nrst, levels.nrst);
    if (levels.boot0 !== undefined) this.#gpio.setPin(this.#boot0, levels.boot0);
    await Promise.resolve();
  }

  async read(): Promise<{ boot0: 'high' | 'low'; nrst: 'high' | 'low'; driven: boolean }> {
    this.#check();
    await Promise.resolve();
    return {
      boot0: this.#gpio.level(this.#boot0),
      nrst: this.#gpio.level(this.#nrst),
      driven: this.#gpio.drive(this.#boot0) !== 'floating' || this.#gpio.drive(this.#nrst) !== 'floating',
    };
  }

  async close(): Promise<void> {
    await Promise.resolve();
    if (this.#closed) return;
    this.#closed = true;
    this.#gpio.release([this.#boot0, this.#nrst]);
  }

  #check(): void {
    if (!this.#closed) return;
    throw new OctopusError('internal', 'the lines were used after they were closed', {
      advice: 'This is a fault of octopus-flasher: please report it.',
    });
  }
}

/** `gpio26`, `gpiochip0/gpio26`, `pinctrl-bcm2835/26` and `GPIO26` are one pin. */
function normalise(pin: string): string {
  const parts = pin.split('/');
  const line = parts.at(-1) ?? '';
  const chip = parts.length === 2 ? parts[0] : undefined;
  const number = /^(?:gpio)?(\d+)$/i.exec(line)?.[1];
  if (parts.length > 2 || number === undefined || (chip !== undefined && !CHIPS.has(chip))) {
    throw new OctopusError('no-hardware', `this host has no GPIO line "${pin}"`, {
      advice: 'Name the pins as Klipper does, for example gpio26.',
      place: pin,
    });
  }
  return `gpio${Number(number)}`;
}
