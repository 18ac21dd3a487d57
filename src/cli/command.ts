// Command line: what a command is carried out with.
import type { Output } from './output.ts';
import type { Settings, World } from './world.ts';

export type Given = Readonly<Record<string, unknown>>;

/** What a command is carried out with. */
export interface Command {
  readonly world: World;
  readonly settings: Settings;
  readonly output: Output;
}

export const STOPPING = 'Stopping as soon as the board allows it: a write that has begun runs to its end.';
