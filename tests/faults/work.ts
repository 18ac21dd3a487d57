// The matrix cut into pieces for workers: which cases a piece has, and what became of them.
import { choose, type Level } from './choose.ts';
import { FAULTS, faultByName, type Fault } from './faults.ts';
import { rehearse, rehearseStart, tryCase, type Case, type Outcome } from './trial.ts';
import { WAYS, wayByName, type Way } from './ways.ts';

/** The column of double faults: killed, or without power, and killed again while the daemon starts. */
export const TWICE = 'twice';
export const COLUMNS: readonly string[] = [...FAULTS.map(({ name }) => name), TWICE];

export interface CaseName {
  readonly way: string;
  readonly fault: string;
  readonly n: number;
  readonly again?: number | undefined;
}

/** A few cases of one cell. */
export interface Piece {
  readonly way: string;
  readonly column: string;
  readonly cases: readonly CaseName[];
}

export interface Lost {
  readonly name: string;
  readonly what: string;
  readonly story: readonly string[];
  readonly problems: readonly string[];
}

export interface Tally {
  readonly way: string;
  readonly column: string;
  readonly tried: number;
  /** Recovered, but only because the owner did what he was asked for. */
  readonly byHand: number;
  readonly lost: readonly Lost[];
}

/** As many as a worker takes at once. */
const PIECE = 8;
/** Where each 64 bytes are a message of their own: as many of a run of alike ones as the wire's slowness allows. */
const MOST_OF_RUN: readonly (readonly [RegExp, number])[] = [
  [/^dfuse/, Infinity],
  [/^katapult/, 24],
  [/^can ebb36/, 18],
  [/^can f446/, 10],
  [/^can h723/, 4],
];
/** Between two steps of a flash nobody looks at these, so that a run's transfers are all the same to them. */
const SEEN_AT_STEPS = new Set(['moonraker', 'foreign-start', 'disk-full', 'sigterm']);
/** Flashes that are broken off for a double fault, and moments of each start after it. */
const DOUBLES: Readonly<Record<Level, readonly [flashes: number, starts: number]>> = {
  every: [24, Infinity],
  complete: [12, 12],
  sample: [2, 2],
};
const FIRST_FAULTS = ['sigkill', 'host-power'] as const;

/** Throws where a way does not even work in peace. */
export async function piecesOf(
  way: Way,
  columns: readonly string[],
  level: Level,
): Promise<readonly Piece[]> {
  const moments = await rehearse(way);
  const mostOfRun = MOST_OF_RUN.find(([name]) => name.test(way.name))?.[1] ?? Infinity;
  const row = WAYS.findIndex(({ name }) => name === way.name);
  const pieces: Piece[] = [];
  for (const column of columns) {
    const turn = row + COLUMNS.indexOf(column);
    const limit = SEEN_AT_STEPS.has(column) ? Math.ceil(mostOfRun / 4) : mostOfRun;
    const cases =
      column === TWICE
        ? await doubles(way, moments.length, level, turn)
        : choose(moments.filter(faultByName(column).meets), { level, mostOfRun: limit, turn }).map(
            ({ n }) => ({
              way: way.name,
              fault: column,
              n,
            }),
          );
    for (let at = 0; at < cases.length; at += PIECE)
      pieces.push({ way: way.name, column, cases: cases.slice(at, at + PIECE) });
  }
  return pieces;
}

async function doubles(way: Way, moments: number, level: Level, turn: number): Promise<readonly CaseName[]> {
  const [flashes, starts] = DOUBLES[level];
  const cases: CaseName[] = [];
  for (let index = 0; index < flashes; index++) {
    const n = Math.max(1, Math.floor(((index + 0.5) * moments) / flashes));
    const fault = FIRST_FAULTS[(index + turn) % 2] ?? 'sigkill';
    const after = await rehearseStart({ way, fault: faultByName(fault), n });
    const step = Math.max(1, after.length / starts);
    for (let at = ((index + turn) % 7) / 7; at * step < after.length; at++)
      cases.push({ way: way.name, fault, n, again: 1 + Math.floor(at * step) });
  }
  return cases;
}

export async function carryOut({ way, column, cases }: Piece): Promise<Tally> {
  const lost: Lost[] = [];
  let byHand = 0;
  for (const one of cases) {
    const outcome = await trySafely(one);
    if (outcome.problems.length > 0)
      lost.push({ name: nameOf(one), what: outcome.moment?.what ?? '', ...outcome });
    else if (outcome.deeds.length > 0) byHand += 1;
  }
  return { way, column, tried: cases.length, byHand, lost };
}

export async function trySafely({ way, fault, n, again }: CaseName): Promise<Outcome> {
  try {
    return await tryCase({ way: wayByName(way), fault: faultByName(fault), n, again } satisfies Case);
  } catch (thrown) {
    const text = thrown instanceof Error ? `${thrown.message} ${thrown.stack ?? ''}` : String(thrown);
    return { moment: undefined, story: [], problems: [`the trial itself failed: ${text}`], deeds: [] };
  }
}

/** As `--only` takes it. */
export function nameOf({ way, fault, n, again }: CaseName): string {
  return `${way} ${fault} ${n}${again === undefined ? '' : ` then ${again}`}`;
}

/** Throws where it names none. */
export function parseName(text: string): CaseName {
  const [, way, fault, n, again] = /^(\S+ \S+) (\S+) (\d+)(?: then (\d+))?$/.exec(text) ?? [];
  if (way === undefined || fault === undefined || n === undefined)
    throw new Error(`"${text}" is no case: give WAY BOARD FAULT MOMENT, as in 'dfuse f446 sigkill 137'`);
  const named: { way: Way; fault: Fault } = { way: wayByName(way), fault: faultByName(fault) };
  return {
    way: named.way.name,
    fault: named.fault.name,
    n: Number(n),
    ...(again === undefined ? {} : { again: Number(again) }),
  };
}
