// Configuration: the two wires of a board, in Klipper's syntax.
import { quoted } from './complaint.ts';
import type { SectionReader } from './section-reader.ts';

/** The same fields as the port's LinePins. */
export interface Pins {
  readonly boot0: string;
  readonly nrst: string;
}

/** Both pins of a board that has no wires to this host. */
export const NO_PIN = 'none';

export const DEFAULT_PINS: Pins = { boot0: 'gpio26', nrst: 'gpio19' };

/** Pins as one file gives them. */
export interface PinKeys {
  readonly boot0: string | undefined;
  readonly nrst: string | undefined;
}

/** More than any host has; a longer number is a slip of the finger. */
const MAX_LINE = 1023;
const MAX_CHIP = 255;
const FORMS =
  'gpio26, gpiochip1/gpio8, LABEL/gpio8 with the label that gpiodetect shows, the name of a line, or none for both';

/** `boot0_pin` and `reset_pin` of a section, undefined where they are not given. */
export function readPins(reader: SectionReader): PinKeys {
  const boot0 = readPin(reader, 'boot0_pin');
  const nrst = readPin(reader, 'reset_pin');
  if (boot0 !== undefined && nrst !== undefined && boot0 !== NO_PIN && isSamePin(boot0, nrst)) {
    throw reader.refuse(
      'reset_pin',
      `boot0_pin and reset_pin are the same pin, ${boot0}`,
      'BOOT0 and reset need a wire each: see the board\'s wiring ("octopus wiring").',
    );
  }
  return { boot0, nrst };
}

/** Whether two names are surely the same line: `gpio8` is line 8 of gpiochip0. */
export function isSamePin(a: string, b: string): boolean {
  return canonical(a) === canonical(b);
}

function canonical(pin: string): string {
  return pin.replace(/^gpiochip0\//, '').replace(/^(.*?)\/(\d+)$/, '$1/gpio$2');
}

function readPin(reader: SectionReader, key: string): string | undefined {
  const pin = reader.text(key);
  if (pin === undefined) return undefined;
  const fault = faultOf(pin);
  if (fault === undefined) return pin;
  throw reader.refuse(key, `${key} cannot be ${quoted(pin)}: ${fault}`, `Write ${FORMS}.`);
}

/** What is wrong with a pin, or undefined. */
function faultOf(pin: string): string | undefined {
  if (/^[!^~]/.test(pin)) {
    return 'the lines are never inverted, and their pull is set by what they are for';
  }
  const mcu = /^([\w-]{1,32}):/.exec(pin);
  if (mcu !== null) return `it is a pin of this host, so it has no "${mcu[1] ?? ''}:" in front`;
  const [, chip, line = ''] = /^(?:([^/]*)\/)?([^/]*)$/.exec(pin) ?? [];
  // A label is the driver's own text: that of a USB expander may be several words.
  if (chip !== undefined && !/^[A-Za-z0-9]([\w. -]{0,30}[\w.-])?$/.test(chip)) return 'this is no chip';
  const chipNumber = /^gpiochip(\d+)$/.exec(chip ?? '')?.[1];
  if (chipNumber !== undefined && Number(chipNumber) > MAX_CHIP) return `chips go up to gpiochip${MAX_CHIP}`;
  const number = (chip === undefined ? /^gpio(\d+)$/ : /^(?:gpio)?(\d+)$/).exec(line)?.[1];
  if (number !== undefined) return Number(number) > MAX_LINE ? `lines go up to ${MAX_LINE}` : undefined;
  if (/^gpio$/i.test(line)) return 'the number is missing';
  return /^[A-Za-z_][\w.+-]{0,31}$/.test(line) ? undefined : 'this is no line';
}
