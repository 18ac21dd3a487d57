// Methods: the boards that requests may name. With a configuration its sections, without one the known models.
import { boardByName, boardNames } from '../boards/boards.ts';
import { OctopusError } from '../errors.ts';
import type { HeaterSafety } from '../flash/heaters.ts';
import type { BoardPlace, WiredOrder } from '../flash/place.ts';
import type { LinePins } from '../ports/gpio.ts';

export interface BoardBook {
  readonly names: readonly string[];
  /** Those of the configuration; none without one. */
  readonly configured: readonly string[];
  /** The board of a request that names none. */
  readonly onlyBoard: string | undefined;
  /** Throws `unknown-board`. */
  place(name: string): BoardPlace;
  /** The image of a request that names none. */
  imageOf(name: string): string | undefined;
}

/** The place as one with wires. Throws `bad-config` for what only the lines can do, on a board without them. */
export function requireWires(place: BoardPlace, what: string): WiredOrder['place'] {
  const { board, pins } = place;
  if (pins !== undefined) return { ...place, pins };
  throw new OctopusError('bad-config', `${board.name} has no wires, and ${what} works by wire only`, {
    place: 'boot0_pin',
    advice: `Wire BOOT0 and reset (octopus wiring), and name both pins under [board ${board.name}] in host.conf.`,
  });
}

/** The same book with the boards that `may` be used. */
export function onlyBoards(book: BoardBook, may: (name: string) => boolean): BoardBook {
  const [names, configured] = [book.names.filter(may), book.configured.filter(may)];
  const [only] = configured;
  return {
    names,
    configured,
    onlyBoard: configured.length === 1 ? only : book.onlyBoard,
    imageOf: (name) => book.imageOf(name),
    place: (name) => {
      const place = book.place(name);
      if (names.includes(name)) return place;
      throw new OctopusError('unknown-board', `${name} belongs to another printer`, {
        place: 'board',
        advice: `Here there are: ${names.join(', ')}.`,
      });
    },
  };
}

/** Every known model under its own name, the mainboards all wired to the same two pins. */
export function modelBoards(
  pins: LinePins,
  { heaters, onlyBoard }: { readonly heaters: HeaterSafety; readonly onlyBoard?: string | undefined },
): BoardBook {
  return {
    names: boardNames(),
    configured: [],
    onlyBoard,
    place: (name) => {
      const board = boardByName(name);
      return { board, pins: board.kind === 'toolhead' ? undefined : pins, heaters };
    },
    imageOf: () => undefined,
  };
}
