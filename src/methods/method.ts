// Methods: the shape that all of them have, and what they are given to work with.
import type { JobBook } from '../jobs/book.ts';
import type { Kit } from '../flash/kit.ts';
import type { Report } from '../flash/report.ts';
import type { BoardPlace } from '../flash/place.ts';
import type { JobKit } from '../jobs/runner.ts';
import type { Recorder } from '../ports/recorder.ts';
import { requireWires, type BoardBook } from './boards.ts';
import type { ImageSource } from './image-source.ts';
import { checkParameters, type Parameters, type ValuesOf } from './parameters.ts';

/**
 * What a call needs before it can run: `job` the board under its lock, as a job with a journal; `board` the
 * surroundings of a board, changing nothing on it; `store` only what was kept; `nothing` not even that.
 */
export type Needs = 'job' | 'board' | 'store' | 'nothing';

/** The part of the kit that a method sees: what it says that it needs at most. A call that needs less must not use it. */
interface KitFor {
  readonly job: Kit;
  readonly board: JobKit;
  readonly store: Pick<Kit, 'store'>;
  readonly nothing: object;
}

/** What a request is carried out with, beside the kit. */
export interface House {
  readonly boards: BoardBook;
  readonly images: ImageSource;
  readonly jobs: JobBook;
  /** Whether the request came through Moonraker, from whomever. */
  readonly isRemote: boolean;
  /** Undefined where no daemon runs. */
  readonly daemon: (() => Promise<DaemonFacts>) | undefined;
}

/** What a daemon tells of itself. */
export interface DaemonFacts {
  readonly version: string;
  /** Whether requests through Moonraker may change a board. */
  readonly isArmed: boolean;
  readonly printers: readonly { readonly name: string; readonly moonraker: 'up' | 'down' }[];
}

export interface Context<N extends Needs = 'job'> extends House {
  /** Where the board `name` is. Throws `unknown-board`. */
  readonly place: (name: string) => BoardPlace;
  readonly kit: KitFor[N];
}

/** A call whose parameters are checked. */
export interface Call<A extends object> {
  /** The board it is about, if it is about one. */
  readonly board: string | undefined;
  /** Of this call; what the method needs at most, or less. */
  readonly needs: Needs;
  /** Whether it may change a board or reset it. */
  readonly changesBoard: boolean;
  /** Fetches what the call is about, before a job is made of it: what can be refused at once is. */
  readonly load: (house: House) => Promise<void>;
  /** Once, after `load`. */
  readonly run: (context: Context, report: Report, signal: AbortSignal) => Promise<A>;
}

export interface Method<A extends object = object> {
  /** As Moonraker calls it: `octopus.dfu_enter`. */
  readonly name: string;
  readonly summary: string;
  /** At most: `Call.needs` is what counts once the parameters are known. */
  readonly needs: Needs;
  /** Never served to Moonraker. */
  readonly isLocal: boolean;
  /** Carried out with a spoilt configuration too, on the lines that are known from before. */
  readonly isRescue: boolean;
  readonly parameters: Parameters;
  /**
   * Takes the only board and its image where the request names none.
   * Throws `unknown-parameter`, `bad-parameter`, `unknown-board`.
   */
  readonly prepare: (given: Readonly<Record<string, unknown>>, boards: BoardBook) => Call<A>;
}

interface MethodSpec<N extends Needs, P extends Parameters, A extends object, L> {
  readonly name: `octopus.${string}`;
  readonly summary: string;
  readonly needs: N;
  /** For a method that needs less with some parameters. Throws what `prepare` throws. */
  readonly needsWith?: (values: ValuesOf<P>) => Needs;
  readonly isLocal?: true;
  readonly isRescue?: true;
  /** Done by the lines themselves, so that a board without wires cannot have it. */
  readonly byWire?: true;
  readonly parameters: P;
  /** A job that only looks: it needs nobody's leave. */
  readonly onlyLooks?: (values: ValuesOf<P>) => boolean;
  readonly load?: (house: House, values: ValuesOf<P>) => Promise<L>;
  readonly run: (
    context: Context<N> & { readonly loaded: L },
    values: ValuesOf<P>,
    report: Report,
    signal: AbortSignal,
  ) => Promise<A>;
}

export function defineMethod<N extends Needs, const P extends Parameters, A extends object, L = undefined>(
  spec: MethodSpec<N, P, A, L>,
): Method<A> {
  const { name, summary, needs, parameters } = spec;
  return {
    name,
    summary,
    needs,
    parameters,
    isLocal: spec.isLocal ?? false,
    isRescue: spec.isRescue ?? false,
    prepare: (given, boards) => {
      const values = checkParameters(name, parameters, withDefaults(parameters, given, boards));
      const board = 'board' in values && typeof values.board === 'string' ? values.board : undefined;
      const place = board === undefined ? undefined : boards.place(board);
      if (spec.byWire === true && place !== undefined) requireWires(place, name);
      const needed = spec.needsWith?.(values) ?? needs;
      let loading: Promise<L> | undefined;
      return {
        board,
        needs: needed,
        changesBoard: needed === 'job' && spec.onlyLooks?.(values) !== true,
        load: async (house) => {
          loading = spec.load?.(house, values);
          await loading;
        },
        run: async ({ kit, ...rest }, report, signal) => {
          const loaded = (await loading) as L; // oxlint-disable-line typescript/no-unsafe-type-assertion
          return spec.run({ ...rest, kit, loaded }, values, report, signal);
        },
      };
    },
  };
}

/** What the configuration says where a request is silent. */
function withDefaults(
  parameters: Parameters,
  given: Readonly<Record<string, unknown>>,
  boards: BoardBook,
): Readonly<Record<string, unknown>> {
  const needsBoard = parameters['board'] !== undefined && !('fallback' in parameters['board']);
  const board = given['board'] ?? (needsBoard ? boards.onlyBoard : undefined);
  const image =
    needsBoard && 'image' in parameters && given['image'] === undefined && typeof board === 'string'
      ? boards.imageOf(board)
      : undefined;
  return {
    ...given,
    ...(needsBoard && board !== undefined ? { board } : {}),
    ...(image === undefined ? {} : { image }),
  };
}

export function contextOf(kit: Kit, house: House): Context {
  return { ...house, kit, place: (name) => house.boards.place(name) };
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
