// Hardware, GPIO: what both adapters say. Absent, not allowed and held are different sentences with different cures.
import { OctopusError } from '../errors.ts';
import { sayChip, type Chip } from './gpio-pins.ts';
import { errnoOf, textOf } from './system-error.ts';

const GROUP =
  'Put the user that runs octopus-flasher into the group gpio (sudo usermod -aG gpio USER) and log in again; ls -l shows whose it is.';

export function samePin(pin: string): OctopusError {
  return new OctopusError('busy', `the GPIO line ${pin} was asked for twice`, {
    place: pin,
    advice: 'BOOT0 and reset need a pin each.',
  });
}

export function heldLine(
  chip: Chip,
  held: { readonly line: number; readonly consumer: string } | undefined,
): OctopusError {
  const line = held === undefined ? 'one of the lines' : `line ${held.line}`;
  const holder =
    held === undefined || held.consumer === '' ? 'a program without a name' : `"${held.consumer}"`;
  return new OctopusError('busy', `${sayChip(chip)} ${line} is held by ${holder}`, {
    place: `${chip.name ?? chip.label}/${held?.line ?? '?'}`,
    advice:
      'End the program that holds the line, or take it out of its configuration; gpioinfo shows all lines with their holders.',
  });
}

export function cannotOpenChips(path: string, error: unknown): OctopusError {
  switch (errnoOf(error) ?? '') {
    case 'EACCES':
    case 'EPERM':
      return new OctopusError('no-hardware', `${path}: permission denied`, {
        place: path,
        advice: GROUP,
        cause: error,
      });
    case 'ENOENT':
    case '':
      return noGpio([path]);
    default:
      return new OctopusError('no-hardware', `${path} cannot be opened: ${textOf(error)}`, {
        place: path,
        advice: 'Look at what the kernel says: sudo dmesg.',
        cause: error,
      });
  }
}

/** @param looked where */
export function noGpio(looked: readonly string[]): OctopusError {
  const places = looked.join(' and ');
  return new OctopusError('no-hardware', `this host has no GPIO lines: looked for ${places}`, {
    place: looked[0] ?? 'GPIO',
    advice:
      'Run it on the computer that the wires hang on; its kernel must have GPIO lines (ls /dev/gpiochip*).',
  });
}

export function linesGone(error: unknown): OctopusError {
  return new OctopusError('no-hardware', `the GPIO lines cannot be used any more: ${textOf(error)}`, {
    place: 'GPIO',
    advice: 'If the chip hangs on USB, plug it in again; otherwise look at what the kernel says: sudo dmesg.',
    cause: error,
  });
}

export function notAllowed(path: string, error: unknown): OctopusError {
  return new OctopusError('no-hardware', `${path}: permission denied`, {
    place: path,
    advice: GROUP,
    cause: error,
  });
}
