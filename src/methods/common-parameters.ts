// Methods: parameters that several of them take.
import { boardNames } from '../boards/boards.ts';
import { CONFIRMATIONS } from '../flash/gate.ts';
import { choices, text } from './parameters.ts';

export const board = text(
  `the board to work on: a [board NAME] of octopus-flasher.conf, or without that file one of ${boardNames().join(', ')}`,
  'NAME',
);

export const image = text(
  'the firmware: a .bin, .hex or .elf file, or backup:ID; the "image:" of the board in octopus-flasher.conf if not given',
  'FILE',
);

export const confirm = choices(
  'what you have looked at where the printer cannot tell',
  'WHAT',
  CONFIRMATIONS,
);
