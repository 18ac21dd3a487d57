// Composition, the boards that a command on the virtual bench may name.
import { DEFAULT_PINS } from '../config/pins.ts';
import { modelBoards, type BoardBook } from '../methods/boards.ts';

/** Nothing hangs on the heater outputs of a virtual board. */
export function virtualBoards(onlyBoard: string): BoardBook {
  return modelBoards(DEFAULT_PINS, { heaters: { kind: 'unused' }, onlyBoard });
}
