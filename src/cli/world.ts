// Command line: what it needs of the world around it; src/compose puts that together.
import type { JobEvent } from '../jobs/job.ts';
import type { JobKit } from '../jobs/runner.ts';
import type { Logger } from '../log.ts';
import type { BoardBook } from '../methods/boards.ts';
import type { House, Needs } from '../methods/method.ts';

/** The options that every verb takes. */
export interface Settings {
  readonly board: string | undefined;
  /** The virtual board to work on instead of hardware. */
  readonly virtual: string | undefined;
  readonly state: string | undefined;
  readonly virtualDir: string | undefined;
  readonly fast: boolean;
  readonly worst: boolean;
  /** How many toolheads hang on the virtual board's CAN bus; undefined: not said. */
  readonly nodes: number | undefined;
  readonly data: string | undefined;
  /** Klipper's and Moonraker's folder. */
  readonly printerData: string | undefined;
  readonly json: boolean;
  readonly verbose: boolean;
}

export interface Surroundings {
  /** Whole for `job` and `board`; for less, what is not needed says that it is not there. */
  readonly kit: JobKit;
  readonly house: House;
  dispose(): Promise<void>;
}

export interface VirtualBoardSummary {
  readonly name: string;
  readonly title: string;
  readonly mcu: string;
}

/** What `octopus virtual serve` and `octopus virtual attach` are asked for. */
export interface VirtualServing {
  /** TCP port or path of a socket. */
  readonly usbip?: string;
  readonly usbredir?: string;
  /** Path of a link. */
  readonly pty?: string;
  /** Where nobody knows how the ROM behaves: the reading that forgives more. */
  readonly isKind?: boolean;
  /** The server of USB/IP whose devices this kernel is to have; nothing is served then. */
  readonly attachTo?: string;
  readonly signal: AbortSignal;
  /** What is offered, comes and goes, a line at a time. */
  readonly tell: (line: string) => void;
}

export interface SupportBundle {
  readonly file: string;
  readonly sizeBytes: number;
  /** Paths inside it. */
  readonly contents: readonly string[];
}

/** A daemon that runs on this host, reached through its own socket. */
export interface DaemonLink {
  /** Rejects with the daemon's OctopusError; `no-daemon` when it went away. */
  call(method: string, params: object): Promise<object>;
  /** As a request through Moonraker would be: the owner's leave is asked for. */
  callAsRemote(method: string, params: object): Promise<object>;
  /** The events of every job, ended ones included. */
  onJobEvent(listener: (event: JobEvent) => void): void;
  /** Resolves when the daemon closes the connection. */
  readonly gone: Promise<void>;
  close(): void;
}

export interface World {
  readonly version: string;
  readonly log: (verbose: boolean) => Logger;
  virtualBoards(): readonly VirtualBoardSummary[];
  readonly virtualStates: readonly string[];
  /**
   * The boards that a command may name. Throws `bad-config`.
   * @param isRescue with a spoilt configuration, those whose lines are known from before
   */
  boards(settings: Settings, isRescue?: boolean): Promise<BoardBook>;
  /** Throws `no-hardware`, `busy`, `bad-parameter`, `bad-config`, `unknown-board`. */
  open(settings: Settings, needs: Needs, isRescue?: boolean): Promise<Surroundings>;
  /** A used virtual board and a newer Klipper for it, in a folder that goes away with it. */
  openDemo(settings: Settings, board: string): Promise<Surroundings & { readonly image: string }>;
  /** The daemon of this host, if one runs. */
  attach(settings: Settings): Promise<DaemonLink | undefined>;
  /** Runs until it is told to stop; answers the exit code. */
  daemon(settings: Settings): Promise<number>;
  /** After the daemon's end: lines let go, a Klipper that it left stopped started; answers the exit code. */
  afterStop(settings: Settings): Promise<number>;
  /** Loads what the daemon loads, so that it lies compiled in Node's cache. */
  warmUp(): Promise<void>;
  /** A virtual board for other programs, or this kernel for somebody's. Runs until `signal` is aborted. */
  serveVirtual(settings: Settings, asked: VirtualServing): Promise<void>;
  /** Packs the daemon's logs and data, and `answers` by name, into `file`. Throws `store-failed`. */
  supportBundle(
    settings: Settings,
    answers: Readonly<Record<string, unknown>>,
    file: string | undefined,
  ): Promise<SupportBundle>;
  /** Lets requests through Moonraker change boards, or no longer; answers the file that says so. */
  arm(settings: Settings, isArmed: boolean): Promise<string>;
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
