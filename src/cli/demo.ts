// Command line: `octopus demo`: a whole flash on a virtual board that leaves nothing behind.
import { METHODS } from '../methods/table.ts';
import type { Command } from './command.ts';
import { runIn } from './run-method.ts';
import { flashSummary, statusSummary } from './summaries.ts';
import type { Told } from './verbs.ts';

const DEMO_BOARD = 'octopus-v1.1-f446';

/** Shows what is there, flashes a newer Klipper, and says what was done. */
export async function demo(command: Command): Promise<Told> {
  const { world, settings, output } = command;
  const board = settings.virtual ?? settings.board ?? DEMO_BOARD;
  const around = await world.openDemo(settings, board);
  try {
    output.say('A demonstration: this board, its chip and its wires are simulated; no hardware is touched.');
    const seen = await runIn(
      command,
      around,
      METHODS.status,
      METHODS.status.prepare({ board }, around.house.boards),
    );
    for (const line of statusSummary(seen)) output.say(line);
    output.say('');
    const call = METHODS.flash.prepare({ board, image: around.image }, around.house.boards);
    const answer = await runIn(command, around, METHODS.flash, call);
    output.say('');
    return { answer: { ...answer, demo: true }, summary: flashSummary(answer) };
  } finally {
    await around.dispose();
  }
}
