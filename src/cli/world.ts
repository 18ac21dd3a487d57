// Command line: what it needs of the world around it; src/main.ts puts that together.
import type { JobKit } from '../jobs/runner.ts';
import type { Logger } from '../log.ts';
import type { Needs } from '../methods/method.ts';
import type { LinePins } from '../ports/gpio.ts';

/** The options that every verb takes. */
export interface Settings {
  readonly board: string | undefined;
  /** The virtual board to work on instead of hardware. */
  readonly virtual: string | undefined;
  readonly state: string | undefined;
  readonly virtualDir: string | undefined;
  readonly fast: boolean;
  readonly worst: boolean;
  readonly data: string | undefined;
  readonly json: boolean;
  readonly verbose: boolean;
}

export interface Surroundings {
  /** Whole for `job` and `board`; for less, what is not needed says that it is not there. */
  readonly kit: JobKit;
  readonly pins: LinePins;
  dispose(): Promise<void>;
}

export interface VirtualBoardSummary {
  readonly name: string;
  readonly title: string;
  readonly mcu: string;
}

export interface World {
  readonly version: string;
  readonly log: (verbose: boolean) => Logger;
  virtualBoards(): readonly VirtualBoardSummary[];
  readonly virtualStates: readonly string[];
  /** Throws `no-hardware`, `busy`, `bad-parameter`, `unknown-board`. */
  open(settings: Settings, needs: Needs): Promise<Surroundings>;
  /** A used virtual board and a newer Klipper for it, in a folder that goes away with it. */
  openDemo(settings: Settings, board: string): Promise<Surroundings & { readonly image: string }>;
}

/** Where the command line writes to. */
export interface Stream extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
}
export interface Streams {
  readonly out: Stream;
  readonly err: Stream;
  readonly env: Readonly<Record<string, string | undefined>>;
}
