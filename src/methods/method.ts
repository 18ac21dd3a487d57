// Methods: the shape that all of them have, and what they are given to work with.
import { boardByName } from '../boards/boards.ts';
import type { Kit } from '../flash/kit.ts';
import type { Report } from '../flash/report.ts';
import type { BoardPlace } from '../flash/visit.ts';
import type { JobKit } from '../jobs/runner.ts';
import type { LinePins } from '../ports/gpio.ts';
import type { Recorder } from '../ports/recorder.ts';
import { checkParameters, type Parameters, type ValuesOf } from './parameters.ts';

/**
 * What a method needs before it can run: `job` the board under its lock, as a job with a journal; `board` the
 * surroundings of a board, changing nothing on it; `store` only what was kept; `nothing` not even that.
 */
export type Needs = 'job' | 'board' | 'store' | 'nothing';

/** The part of the kit that a method sees: exactly what it says that it needs. */
interface KitFor {
  readonly job: Kit;
  readonly board: JobKit;
  readonly store: Pick<Kit, 'store'>;
  readonly nothing: object;
}

export interface Context<N extends Needs = 'job'> {
  /** Where the board `name` is. Throws `unknown-board`. */
  readonly place: (name: string) => BoardPlace;
  readonly kit: KitFor[N];
}

/** A call whose parameters are checked. */
export interface Call<A extends object> {
  /** The board it is about, if it is about one. */
  readonly board: string | undefined;
  readonly run: (context: Context, report: Report, signal: AbortSignal) => Promise<A>;
}

export interface Method<A extends object = object> {
  /** As Moonraker calls it: `octopus.dfu_enter`. */
  readonly name: string;
  readonly summary: string;
  readonly needs: Needs;
  /** Never served to Moonraker. */
  readonly isLocal: boolean;
  readonly parameters: Parameters;
  /** Throws `unknown-parameter`, `bad-parameter`, `unknown-board`. */
  readonly prepare: (given: Readonly<Record<string, unknown>>) => Call<A>;
}

interface MethodSpec<N extends Needs, P extends Parameters, A extends object> {
  readonly name: `octopus.${string}`;
  readonly summary: string;
  readonly needs: N;
  readonly isLocal?: true;
  readonly parameters: P;
  readonly run: (context: Context<N>, values: ValuesOf<P>, report: Report, signal: AbortSignal) => Promise<A>;
}

export function defineMethod<N extends Needs, const P extends Parameters, A extends object>(
  spec: MethodSpec<N, P, A>,
): Method<A> {
  const { name, summary, needs, parameters } = spec;
  return {
    name,
    summary,
    needs,
    parameters,
    isLocal: spec.isLocal ?? false,
    prepare: (given) => {
      const values = checkParameters(name, parameters, given);
      const board = 'board' in values && typeof values.board === 'string' ? values.board : undefined;
      if (board !== undefined) boardByName(board);
      return {
        board,
        run: ({ kit, place }, report, signal) => spec.run({ kit, place }, values, report, signal),
      };
    },
  };
}

/** A context whose boards are all wired to the same two pins. */
export function contextOf(kit: Kit, pins: LinePins): Context {
  return { kit, place: (name) => ({ board: boardByName(name), pins, heaters: { kind: 'unused' } }) };
}

/** For methods that are no jobs: they have no journal, so a step on a board is a fault of ours. */
export function withoutJournal(kit: JobKit): Kit {
  return { ...kit, recorder: NO_STEPS };
}

const NO_STEPS: Recorder = {
  before: async () => {
    throw new TypeError('a method that is no job takes a step on a board');
  },
};
