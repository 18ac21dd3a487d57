// Command line: the verbs of the host's own user, which are no methods: demo, virtual, daemon, arm, disarm and more.
import type { Command } from 'commander';
import { demo } from './demo.ts';
import type { Output } from './output.ts';
import { checkSettings } from './run-method.ts';
import { rows } from './summaries.ts';
import { addSupport } from './support.ts';
import { addWiring } from './wiring.ts';
import { addVirtualVerbs } from './virtual-verbs.ts';
import type { Settings, World } from './world.ts';

/**
 * @param settingsOf the options that every verb takes
 * @param endWith sets the exit code of a verb that ends well but has one of its own
 */
export function addHostVerbs(
  program: Command,
  world: World,
  output: Output,
  settingsOf: (command: Command) => Settings,
  endWith: (code: number) => void,
): void {
  program
    .command('demo')
    .description('flash a virtual board and show what happens; leaves nothing behind')
    .action(async (_options, command: Command) => {
      const settings = settingsOf(command);
      checkSettings(settings, world, true);
      const { answer, summary } = await demo({ world, settings, output });
      output.answer(answer, summary);
    });
  addVirtualVerbs(program, world, output, settingsOf);
  program
    .command('daemon')
    .description(
      "serve Moonraker and this host's commands until told to stop; with --virtual on a virtual board",
    )
    .action(async (_options, command: Command) => {
      const settings = settingsOf(command);
      checkSettings(settings, world, settings.virtual !== undefined);
      endWith(await world.daemon(settings));
    });
  program.command('after-stop', { hidden: true }).action(async (_options, command: Command) => {
    const settings = settingsOf(command);
    checkSettings(settings, world, settings.virtual !== undefined);
    endWith(await world.afterStop(settings));
  });
  addWiring(program, world, output, settingsOf);
  addSupport(program, world, output, settingsOf);
  program.command('warm-up', { hidden: true }).action(() => world.warmUp());
  for (const isArmed of [true, false]) {
    program
      .command(isArmed ? 'arm' : 'disarm')
      .description(
        isArmed
          ? "let requests from the printer's screen (Moonraker) flash and reset boards"
          : "let nothing from the printer's screen change a board any more",
      )
      .action(async (_options, command: Command) => {
        const file = await world.arm(settingsOf(command), isArmed);
        output.answer({ isArmed, file }, [
          isArmed
            ? 'Armed: whoever may use Moonraker may flash. Every other guard holds; octopus disarm takes it back.'
            : 'Disarmed: requests through Moonraker change nothing.',
          ...rows([['written to', file]]),
        ]);
      });
  }
}
