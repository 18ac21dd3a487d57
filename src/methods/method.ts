// Methods: the shape that all of them have, and what they are given to work with.
import { boardByName } from '../boards/boards.ts';
import type { Kit } from '../flash/kit.ts';
import type { Report } from '../flash/report.ts';
import type { BoardPlace } from '../flash/visit.ts';
import type { JobKit } from '../jobs/runner.ts';
import type { LinePins } from '../ports/gpio.ts';
import { checkParameters, type Parameters, type ValuesOf } from './parameters.ts';

/**
 * What a method needs before it can run: `job` the board under its lock, as a job with a journal; `board` the
 * surroundings of a board, changing nothing; `store` only what was kept; `nothing` not even that.
 */
export type Needs = 'job' | 'board' | 'store' | 'nothing';

export interface Context<N extends Needs> {
  /** Where the board `name` is. Throws `unknown-board`. */
  readonly place: (name: string) => BoardPlace;
  readonly kit: N extends 'job'
    ? Kit
    : N extends 'board'
      ? JobKit
      : N extends 'store'
        ? Pick<Kit, 'store'>
        : undefined;
}

/** A call whose parameters are checked. */
export interface Call<N extends Needs, A extends object> {
  /** The board it is about, if it is about one. */
  readonly board: string | undefined;
  run(context: Context<N>, report: Report, signal: AbortSignal): Promise<A>;
}

export interface Method<N extends Needs = Needs, A extends object = object> {
  /** As Moonraker calls it: `octopus.dfu_enter`. */
  readonly name: string;
  readonly summary: string;
  readonly needs: N;
  /** Never served to Moonraker. */
  readonly isLocal: boolean;
  readonly parameters: Parameters;
  /** Throws `unknown-parameter`, `bad-parameter`, `unknown-board`. */
  prepare(given: Readonly<Record<string, unknown>>): Call<N, A>;
}

interface MethodSpec<N extends Needs, P extends Parameters, A extends object> {
  readonly name: `octopus.${string}`;
  readonly summary: string;
  readonly needs: N;
  readonly isLocal?: true;
  readonly parameters: P;
  run(context: Context<N>, values: ValuesOf<P>, report: Report, signal: AbortSignal): Promise<A>;
}

export function defineMethod<N extends Needs, const P extends Parameters, A extends object>(
  spec: MethodSpec<N, P, A>,
): Method<N, A> {
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
      return { board, run: (context, report, signal) => spec.run(context, values, report, signal) };
    },
  };
}

/** A context whose boards are all wired to the same two pins. */
export function contextOf<N extends Needs>(kit: Context<N>['kit'], pins: LinePins): Context<N> {
  return { kit, place: (name) => ({ board: boardByName(name), pins }) };
}
