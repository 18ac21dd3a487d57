// Hardware, GPIO: which line of which chip a pin is, in Klipper's syntax. Pure: the chips are given.
import { OctopusError } from '../errors.ts';

export interface Chip {
  /** `gpiochip0`; undefined where nothing tells the kernel's name for it. */
  readonly name: string | undefined;
  /** Links to it: /dev/gpiochip4 on a Raspberry Pi 5, whose header was chip 4 once. */
  readonly aliases?: readonly string[];
  /** The driver's own name for it. */
  readonly label: string;
  readonly lines: number;
  /** The names of its lines, by their numbers; an empty one is no name. */
  lineNames(): readonly string[];
}

export interface Place<C extends Chip> {
  readonly chip: C;
  readonly line: number;
}

/**
 * The chip that the 40-pin header hangs on, by the labels of Raspberry Pi's kernels (drivers/pinctrl/bcm/
 * pinctrl-bcm2835.c, drivers/pinctrl/pinctrl-rp1.c): its number changed from model to model and from kernel to kernel.
 */
const HEADER_LABELS = new Set(['pinctrl-bcm2835', 'pinctrl-bcm2711', 'pinctrl-rp1']);

/** Throws `no-hardware` with what there is. */
export function findLine<C extends Chip>(pin: string, chips: readonly C[]): Place<C> {
  const [, chipName, lineName = ''] = /^(?:([^/]*)\/)?([^/]*)$/.exec(pin) ?? [];
  const number = (chipName === undefined ? /^gpio(\d+)$/i : /^(?:gpio)?(\d+)$/i).exec(lineName)?.[1];
  if (lineName === '') throw noLine(pin, 'this is no pin', chips);
  if (number === undefined) return byName(pin, lineName, chipName, chips);
  const chip = chipName === undefined ? headerChip(pin, chips) : namedChip(pin, chipName, chips);
  const line = Number(number);
  if (line < chip.lines) return { chip, line };
  throw noLine(pin, `${sayChip(chip)} has lines 0 to ${chip.lines - 1}`, chips);
}

export function sayChip({ name, label }: Chip): string {
  return name === undefined ? label : `${name} (${label})`;
}

function headerChip<C extends Chip>(pin: string, chips: readonly C[]): C {
  const header = chips.find(({ label }) => HEADER_LABELS.has(label));
  const [only, ...others] = chips;
  const chip = header ?? (others.length === 0 ? only : undefined);
  if (chip !== undefined) return chip;
  throw noLine(pin, "no chip is known to be that of this computer's header", chips);
}

function namedChip<C extends Chip>(pin: string, wanted: string, chips: readonly C[]): C {
  const found = chips.filter(({ name, label, aliases = [] }) => [name, label, ...aliases].includes(wanted));
  const [chip] = found;
  if (chip !== undefined && found.length === 1) return chip;
  throw noLine(
    pin,
    chip === undefined ? `there is no chip ${wanted}` : `${found.length} chips are called ${wanted}`,
    chips,
  );
}

function byName<C extends Chip>(
  pin: string,
  lineName: string,
  chipName: string | undefined,
  chips: readonly C[],
): Place<C> {
  const where = chipName === undefined ? chips : [namedChip(pin, chipName, chips)];
  const found = where.flatMap((chip) =>
    chip.lineNames().flatMap((name, line) => (name === lineName ? [{ chip, line }] : [])),
  );
  const [place] = found;
  if (place !== undefined && found.length === 1) return place;
  throw noLine(
    pin,
    place === undefined
      ? `no line is called ${lineName}`
      : `${found.length} lines are called ${lineName}: ${found.map(({ chip, line }) => `${sayChip(chip)} line ${line}`).join(', ')}`,
    chips,
  );
}

function noLine(pin: string, why: string, chips: readonly Chip[]): OctopusError {
  const there = chips.map((chip) => `${sayChip(chip)} with ${chip.lines} lines`).join(', ');
  return new OctopusError('no-hardware', `this host has no GPIO line "${pin}": ${why}`, {
    place: pin,
    advice:
      `There is: ${there === '' ? 'no chip' : there}. Name the pin as gpio26, gpiochip0/gpio26, LABEL/gpio26 or by ` +
      'the name of its line (gpioinfo shows them all).',
  });
}
