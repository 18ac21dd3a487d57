// Composition, the lines that are known: kept at each start with a sound configuration, so that a start with a spoilt one
// (Mainsail can edit octopus-flasher.conf) can still let go of what a dead process may have left driven.
import { object, record, string } from 'superstruct';
import { boardByName, boardNames } from '../boards/boards.ts';
import type { Board } from '../boards/types.ts';
import { OctopusError } from '../errors.ts';
import { seal, unseal } from '../kept.ts';
import type { LinePins } from '../ports/gpio.ts';
import type { Store } from '../ports/store.ts';
import type { BoardBook } from '../methods/boards.ts';

const KEY = 'lines.json';
const Book = object({ lines: record(string(), object({ boot0: string(), nrst: string() })) });

/** A disk that cannot take it is told by whatever is written next. */
export async function rememberLines(store: Store, boards: BoardBook): Promise<void> {
  const lines = Object.fromEntries(
    boards.configured.flatMap((name) => {
      const { board, pins } = boards.place(name);
      return pins === undefined ? [] : [[board.name, pins]];
    }),
  );
  if (Object.keys(lines).length === 0) return;
  const bytes = seal({ lines });
  const before = await store.read(KEY);
  if (before !== undefined && Buffer.compare(before, bytes) === 0) return;
  await store.write(KEY, bytes);
}

/** Those boards, for nothing but letting their lines go: what they are is not known. */
export async function knownLines(store: Store): Promise<BoardBook> {
  const lines = await recallLines(store);
  const names = [...lines.keys()];
  return {
    names,
    configured: names,
    onlyBoard: undefined,
    imageOf: () => undefined,
    place: (name) => {
      const pins = lines.get(name);
      if (pins !== undefined) return { board: { ...anyBoard(), name }, pins, heaters: { kind: 'unknown' } };
      throw new OctopusError('unknown-board', `no lines of "${name.slice(0, 100)}" are known`, {
        place: 'board',
        advice: `Known: ${names.join(', ')}.`,
      });
    },
  };
}

function anyBoard(): Board {
  return boardByName(boardNames()[0] ?? '');
}

/** Empty where nothing is known. */
async function recallLines(store: Store): Promise<ReadonlyMap<string, LinePins>> {
  const bytes = await store.read(KEY).catch((): undefined => undefined);
  const book = bytes === undefined ? undefined : unseal(bytes, Book);
  return new Map(Object.entries(book?.lines ?? {}));
}
