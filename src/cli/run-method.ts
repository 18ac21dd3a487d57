// Command line: one method, from its parameters to its answer: here, or by the daemon where one runs.
import { resolve } from 'node:path';
import { OctopusError } from '../errors.ts';
import type { BoardBook } from '../methods/boards.ts';
import { floatAfterCrash } from '../methods/float-lines.ts';
import { contextOf, withoutJournal, type Call, type Method } from '../methods/method.ts';
import { startCall } from '../methods/start.ts';
import { progressFor } from './progress.ts';
import { STOPPING, type Command, type Given } from './command.ts';
import { handOver, runThroughDaemon } from './run-through-daemon.ts';
import { withSignals } from './signals.ts';
import { traced } from './trace.ts';
import type { Settings, Surroundings, World } from './world.ts';

/** Checks the parameters, opens what the method needs, runs it, and closes everything again. Throws OctopusErrors. */
export async function runMethod<A extends object>(
  command: Command,
  method: Method<A>,
  given: Given,
): Promise<A> {
  const { world, settings } = command;
  const params = absolute(withBoard(settings, given));
  // A virtual board named here is this command's own, whatever a daemon is busy with.
  const daemon = settings.virtual === undefined ? await world.attach(settings) : undefined;
  if (daemon !== undefined) {
    try {
      return await runThroughDaemon(command, daemon, method, params);
    } finally {
      daemon.close();
    }
  }
  const call = method.prepare(params, await world.boards(settings, method.isRescue));
  const around = await world.open(settings, call.needs, method.isRescue);
  try {
    return await runIn(command, around, method, call);
  } finally {
    await around.dispose();
  }
}

/** Hands a job to the daemon and answers its id. Throws `no-daemon` where none runs, and what the daemon refuses with. */
export async function runDetached(
  { world, settings }: Command,
  method: Method,
  given: Given,
): Promise<string> {
  const daemon = settings.virtual === undefined ? await world.attach(settings) : undefined;
  if (daemon === undefined) {
    throw new OctopusError('no-daemon', 'no daemon runs that could take the job', {
      place: '--detach',
      advice: 'Start it (systemctl start octopus-flasher), or leave --detach out.',
    });
  }
  try {
    return await handOver(daemon, method, absolute(withBoard(settings, given)));
  } finally {
    daemon.close();
  }
}

/** As `runMethod`, in surroundings that are open already; the caller closes them. */
export async function runIn<A extends object>(
  command: Command,
  { kit: plain, house }: Surroundings,
  method: Method<A>,
  call: Call<A>,
): Promise<A> {
  const log = command.world.log(command.settings.verbose);
  const kit = traced(plain, log);
  if (call.needs === 'job' || call.needs === 'board') {
    for (const name of boardsOf(call, house.boards))
      await floatAfterCrash(kit, house.boards.place(name).pins, name);
  }
  if (call.needs !== 'job') {
    return call.run(contextOf(withoutJournal(kit), house), () => {}, new AbortController().signal);
  }
  const progress = await progressFor(
    command.output,
    method.name,
    () => kit.clock.now(),
    command.settings.verbose,
  );
  let isDone = false;
  try {
    const job = await startCall(kit, house, method, call, (event) => {
      log.debug(event, 'event');
      progress.take(event);
    });
    const cancel = () => {
      progress.note(STOPPING);
      job.cancel();
    };
    const answer = await withSignals(cancel, () => job.ended);
    isDone = true;
    return answer;
  } finally {
    progress.end(isDone);
  }
}

/** Those that a call is about: its own, or where it names none the configured ones. */
function boardsOf({ board }: Call<object>, boards: BoardBook): readonly string[] {
  const only = board ?? boards.onlyBoard;
  return only === undefined ? boards.configured : [only];
}

/** A method without a board refuses it like any other parameter that it does not have. */
function withBoard(settings: Settings, given: Given): Given {
  return settings.board === undefined ? given : { ...given, board: settings.board };
}

/** The daemon has another working directory than whoever typed the command. */
function absolute(given: Given): Given {
  const paths = ['image', 'file', 'application'].flatMap((name) => {
    const value = given[name];
    return isPath(value) ? [[name, resolve(value)]] : [];
  });
  return { ...given, ...Object.fromEntries(paths) };
}

function isPath(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && !/^((backup|upload|build):|~\/)/.test(value);
}

/** The options that only a virtual board has must not be taken for harmless on hardware. */
export function checkSettings(settings: Settings, world: World, isVirtual: boolean): void {
  const { state, virtualDir, fast, worst, nodes } = settings;
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
    ['--nodes', nodes !== undefined],
  ] as const;
  const given = only.find(([, isGiven]) => isGiven);
  if (isVirtual || given === undefined) return;
  throw new OctopusError('bad-parameter', `${given[0]} is for a virtual board only`, {
    place: given[0],
    advice: 'Add --virtual BOARD, or leave it out.',
  });
}
