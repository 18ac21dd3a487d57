// Hardware, port GpioHost: /sys/class/gpio by the package onoff, for hosts without /dev/gpiochip*. What it cannot do:
// name our lines or their holders, set a pull, and give lines back when the process dies: the next start adopts those.
// Only `direction` is written: `in` floats, and `high` and `low` turn to output with that level at once.
import { existsSync, writeFileSync } from 'node:fs';
import { readFile, readdir, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { OctopusError } from '../errors.ts';
import type { Boot0Drive, GpioHost, GpioLines, LinePins, NrstDrive } from '../ports/gpio.ts';
import { heldLine, linesGone, noGpio, notAllowed, samePin } from './gpio-errors.ts';
import { findLine, type Chip, type Place } from './gpio-pins.ts';
import { REBUILD } from './optional.ts';
import { errnoOf, textOf, usedAfterClose } from './system-error.ts';

/** What is used of onoff's class. */
export interface OnoffLine {
  direction(): string;
  setDirection(direction: 'in' | 'high' | 'low'): void;
  readSync(): number;
  unexport(): void;
}
export type OnoffGpio = new (
  gpio: number,
  direction: 'in',
  options: { readonly activeLow: boolean },
) => OnoffLine;

/** What this process has exported: sysfs would give a line to whoever asks next, and take it from us at their end. */
const held = new Set<string>();

interface SysfsChip extends Chip {
  /** Of its first line, in numbers that count over all chips; it is 512 and more since kernel 6.6. */
  readonly base: number;
}

export class SysfsGpio implements GpioHost {
  readonly #onoff: OnoffGpio | string;
  readonly #sys: string;

  /** @param onoff the package's class, or why there is none */
  constructor(onoff: OnoffGpio | string, sys = '/sys') {
    this.#onoff = onoff;
    this.#sys = sys;
  }

  async open(pins: LinePins): Promise<GpioLines> {
    const chips = await this.#chips();
    if (chips.length === 0) throw noGpio([join(this.#sys, 'class/gpio/gpiochip*')]);
    const places = [findLine(pins.boot0, chips), findLine(pins.nrst, chips)] as const;
    const [boot0, nrst] = places.map(({ chip, line }) => chip.base + line);
    if (boot0 === nrst) throw samePin(pins.nrst);
    const first = this.#take(places[0]);
    try {
      return new SysfsLines(first, this.#take(places[1]));
    } catch (error) {
      first.unexport();
      throw error;
    }
  }

  #take({ chip, line }: Place<SysfsChip>): OnoffLine {
    const number = chip.base + line;
    const place = join(this.#sys, `class/gpio/gpio${number}`);
    if (typeof this.#onoff === 'string') {
      throw new OctopusError('no-hardware', `${this.#onoff}, and this host has GPIO lines in sysfs only`, {
        place,
        advice: REBUILD,
      });
    }
    if (held.has(place)) throw heldLine(chip, { line, consumer: 'octopus-flasher' });
    const isForeign = existsSync(place);
    let taken: OnoffLine;
    try {
      taken = new this.#onoff(number, 'in', { activeLow: false });
    } catch (error) {
      // onoff exports a line before it finds that it cannot use it.
      if (!isForeign && existsSync(place)) this.#unexport(number);
      throw refusal(place, chip, line, error);
    }
    // What was exported before is taken over, and onoff then says nothing of what it could not set.
    if (taken.direction() === 'in') {
      held.add(place);
      return {
        direction: () => taken.direction(),
        setDirection: (direction) => taken.setDirection(direction),
        readSync: () => taken.readSync(),
        unexport: () => {
          held.delete(place);
          taken.unexport();
        },
      };
    }
    taken.unexport();
    throw notAllowed(join(place, 'direction'), undefined);
  }

  #unexport(number: number): void {
    try {
      writeFileSync(join(this.#sys, 'class/gpio/unexport'), String(number));
    } catch {
      // What it could not be used for is told.
    }
  }

  async #chips(): Promise<readonly SysfsChip[]> {
    const folder = join(this.#sys, 'class/gpio');
    const names = await readdir(folder).catch((): string[] => []);
    const chips = await Promise.all(
      names.filter((name) => /^gpiochip\d+$/.test(name)).map((name) => this.#chipAt(join(folder, name))),
    );
    const byBase = chips.filter((chip) => chip !== undefined).sort((a, b) => a.base - b.base);
    const kernelNames = await this.#kernelNames();
    return byBase.map(({ parent, label, base, lines }) => {
      const own = kernelNames.get(parent) ?? [];
      const twins = byBase.filter((other) => other.parent === parent);
      // Two chips of one device: which is which is told nowhere.
      const name = own.length === 1 && twins.length === 1 ? own[0] : undefined;
      return { label, base, lines, name, lineNames: () => [] };
    });
  }

  async #chipAt(folder: string) {
    const text = async (file: string) => (await readFile(join(folder, file), 'utf8')).trim();
    try {
      const [label, base, lines] = [
        await text('label'),
        Number(await text('base')),
        Number(await text('ngpio')),
      ];
      // .../DEVICE/gpio/gpiochip512
      return { label, base, lines, parent: dirname(dirname(await realpath(folder))) };
    } catch {
      return undefined;
    }
  }

  /** `gpiochip0` by the device that it belongs to: the names of the character devices, which need not be there. */
  async #kernelNames(): Promise<ReadonlyMap<string, readonly string[]>> {
    const folder = join(this.#sys, 'bus/gpio/devices');
    const found = new Map<string, string[]>();
    for (const name of await readdir(folder).catch((): string[] => [])) {
      const target = await readlink(join(folder, name)).catch(() => undefined);
      if (target === undefined || !/^gpiochip\d+$/.test(name)) continue;
      const device = await realpath(join(folder, name)).catch(() => undefined);
      if (device === undefined || basename(device) !== name) continue;
      const parent = dirname(device);
      found.set(parent, [...(found.get(parent) ?? []), name]);
    }
    return found;
  }
}

function refusal(place: string, chip: Chip, line: number, error: unknown): OctopusError {
  switch (errnoOf(error) ?? '') {
    case 'EACCES':
    case 'EPERM':
      return notAllowed(place, error);
    case 'EBUSY':
      return new OctopusError('busy', `${chip.label} line ${line} is held by a driver or another program`, {
        place,
        advice:
          'sysfs does not tell by whom: sudo cat /sys/kernel/debug/gpio does. End it, or use another pin.',
        cause: error,
      });
    default:
      return new OctopusError('no-hardware', `${chip.label} line ${line} cannot be used: ${textOf(error)}`, {
        place,
        advice: 'Look at what the kernel says: sudo dmesg.',
        cause: error,
      });
  }
}

const levelOf = (line: OnoffLine) => (line.readSync() === 0 ? 'low' : 'high');

class SysfsLines implements GpioLines {
  readonly #boot0: OnoffLine;
  readonly #nrst: OnoffLine;
  #isClosed = false;

  constructor(boot0: OnoffLine, nrst: OnoffLine) {
    [this.#boot0, this.#nrst] = [boot0, nrst];
  }

  /** BOOT0 first: the chip looks at it when reset rises. */
  async set(levels: { boot0?: Boot0Drive; nrst?: NrstDrive }): Promise<void> {
    this.#check();
    try {
      if (levels.boot0 !== undefined) this.#boot0.setDirection(levels.boot0 === 'high' ? 'high' : 'in');
      if (levels.nrst !== undefined) this.#nrst.setDirection(levels.nrst === 'low' ? 'low' : 'in');
    } catch (error) {
      throw linesGone(error);
    }
  }

  async read(): Promise<{ boot0: 'high' | 'low'; nrst: 'high' | 'low'; driven: boolean }> {
    this.#check();
    try {
      const driven = [this.#boot0, this.#nrst].some((line) => line.direction() !== 'in');
      return { boot0: levelOf(this.#boot0), nrst: levelOf(this.#nrst), driven };
    } catch (error) {
      throw linesGone(error);
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const line of [this.#nrst, this.#boot0]) {
      try {
        line.setDirection('in');
      } catch {
        // The chip is gone, and its lines with it.
      } finally {
        line.unexport();
      }
    }
  }

  #check(): void {
    if (this.#isClosed) throw usedAfterClose('a GPIO line');
  }
}
