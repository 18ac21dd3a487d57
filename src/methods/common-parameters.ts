// Methods: parameters that several of them take.
import { boardNames } from '../boards/boards.ts';
import { CONFIRMATIONS } from '../flash/gate.ts';
import { choices, text } from './parameters.ts';

export const board = text(`the board to work on, one of: ${boardNames().join(', ')}`, 'NAME');

export const confirm = choices(
  'what you have looked at where the printer cannot tell',
  'WHAT',
  CONFIRMATIONS,
);
