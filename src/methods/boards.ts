// Methods: the boards that requests may name. With a configuration its sections, without one the known models.
import { boardByName, boardNames } from '../boards/boards.ts';
import type { BoardPlace, HeaterSafety } from '../flash/visit.ts';
import type { LinePins } from '../ports/gpio.ts';

export interface BoardBook {
  readonly names: readonly string[];
  /** Those of the configuration; none without one. */
  readonly configured: readonly string[];
  /** The board of a request that names none. */
  readonly onlyBoard: string | undefined;
  /** Throws `unknown-board`; `bad-config` for one that cannot be reached by wire. */
  place(name: string): BoardPlace;
  /** The image of a request that names none. */
  imageOf(name: string): string | undefined;
}

/** Every known model under its own name, all wired to the same two pins. */
export function modelBoards(
  pins: LinePins,
  { heaters, onlyBoard }: { readonly heaters: HeaterSafety; readonly onlyBoard?: string | undefined },
): BoardBook {
  return {
    names: boardNames(),
    configured: [],
    onlyBoard,
    place: (name) => ({ board: boardByName(name), pins, heaters }),
    imageOf: () => undefined,
  };
}
