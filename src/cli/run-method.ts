// Command line: one method, from its parameters to its answer.
import { OctopusError } from '../errors.ts';
import { floatAfterCrash } from '../methods/float-lines.ts';
import { contextOf, withoutJournal, type Call, type Method } from '../methods/method.ts';
import { startCall } from '../methods/start.ts';
import { progressFor } from './progress.ts';
import type { Output } from './output.ts';
import { withSignals } from './signals.ts';
import { traced } from './trace.ts';
import type { Settings, Surroundings, World } from './world.ts';

export type Given = Readonly<Record<string, unknown>>;

/** What a command is carried out with. */
export interface Command {
  readonly world: World;
  readonly settings: Settings;
  readonly output: Output;
}

/** Checks the parameters, opens what the method needs, runs it, and closes everything again. Throws OctopusErrors. */
export async function runMethod<A extends object>(
  command: Command,
  method: Method<A>,
  given: Given,
): Promise<A> {
  const call = method.prepare(withBoard(method, command.settings, given));
  const around = await command.world.open(command.settings, method.needs);
  try {
    return await runIn(command, around, method, call);
  } finally {
    await around.dispose();
  }
}

/** The same in surroundings that are open already; the caller closes them. */
export async function runIn<A extends object>(
  command: Command,
  { kit: plain, pins }: Surroundings,
  method: Method<A>,
  call: Call<A>,
): Promise<A> {
  const log = command.world.log(command.settings.verbose);
  const kit = traced(plain, log);
  if (call.board !== undefined && (method.needs === 'job' || method.needs === 'board')) {
    await floatAfterCrash(kit, pins, call.board);
  }
  if (method.needs !== 'job') {
    return call.run(contextOf(withoutJournal(kit), pins), () => {}, new AbortController().signal);
  }
  const progress = progressFor(command.output, method.name, () => kit.clock.now(), command.settings.verbose);
  let isDone = false;
  try {
    const job = await startCall(kit, pins, method, call, (event) => {
      log.debug(event, 'event');
      progress.take(event);
    });
    const cancel = () => {
      progress.note('Stopping as soon as the board allows it: a write that has begun runs to its end.');
      job.cancel();
    };
    const answer = await withSignals(cancel, () => job.ended);
    isDone = true;
    return answer;
  } finally {
    progress.end(isDone);
  }
}

/** `--board` goes to the method; with `--virtual` alone, the board is what it says it is. */
function withBoard(method: Method, settings: Settings, given: Given): Given {
  const takesBoard = 'board' in method.parameters;
  if (settings.board !== undefined) return { ...given, board: settings.board };
  return takesBoard && settings.virtual !== undefined ? { ...given, board: settings.virtual } : given;
}

/** The options that only a virtual board has must not be taken for harmless on hardware. */
export function checkSettings(settings: Settings, world: World, isVirtual: boolean): void {
  const { state, virtualDir, fast, worst } = settings;
  if (state !== undefined && !world.virtualStates.includes(state)) {
    throw new OctopusError('bad-parameter', `there is no board state "${state}"`, {
      place: '--state',
      advice: `Allowed: ${world.virtualStates.join(', ')}.`,
    });
  }
  const only = [
    ['--state', state !== undefined],
    ['--virtual-dir', virtualDir !== undefined],
    ['--fast', fast],
    ['--worst', worst],
  ] as const;
  const given = only.find(([, isGiven]) => isGiven);
  if (isVirtual || given === undefined) return;
  throw new OctopusError('bad-parameter', `${given[0]} is for a virtual board only`, {
    place: given[0],
    advice: 'Add --virtual BOARD, or leave it out.',
  });
}
