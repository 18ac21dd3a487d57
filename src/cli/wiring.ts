// Command line: `octopus wiring`: how the two wires go, and with --test the proof that they do.
import type { Command as Program } from 'commander';
import { requireWires } from '../methods/boards.ts';
import { METHODS } from '../methods/table.ts';
import type { Output } from './output.ts';
import { checkSettings, runMethod } from './run-method.ts';
import { rows, wiringSummary } from './summaries.ts';
import type { Settings, World } from './world.ts';

export function addWiring(
  program: Program,
  world: World,
  output: Output,
  settingsOf: (command: Program) => Settings,
): void {
  program
    .command('wiring')
    .description('how the two wires go; with --test: prove them and measure this board')
    .option('--test', 'reset the board alone, then into DFU mode and back, and measure how fast it comes')
    .option('--confirm <what>', METHODS.wiringTest.parameters['confirm']?.help ?? '')
    .action(async (options: { test?: true; confirm?: string }, command: Program) => {
      const settings = settingsOf(command);
      checkSettings(settings, world, settings.virtual !== undefined);
      if (options.test !== true) {
        const { answer, summary } = await describe(world, settings);
        output.answer(answer, summary);
        return;
      }
      const given = options.confirm === undefined ? {} : { confirm: options.confirm };
      const answer = await runMethod({ world, settings, output }, METHODS.wiringTest, given);
      output.answer(answer, wiringSummary(answer));
    });
}

async function describe(world: World, settings: Settings) {
  const book = await world.boards(settings);
  const board = settings.board ?? book.onlyBoard ?? book.configured[0] ?? book.names[0] ?? '';
  const { boot0, nrst } = requireWires(book.place(board), 'octopus wiring').pins;
  return {
    answer: { board, boot0, nrst },
    summary: [
      `Two wires, and ground through the USB cable, from the host to ${board}:`,
      ...rows([
        ['BOOT0', `${named(boot0)} straight to the BOOT0 pin of the jumper; take the jumper off`],
        ['reset', `${named(nrst)} through a Schottky diode to RST: the ring (cathode) on the host's side`],
        ['then', 'octopus wiring --test'],
      ]),
    ],
  };
}

/** Raspberry Pi, 40-pin header. */
const HEADER_PINS: Readonly<Record<string, number>> = {
  gpio16: 36,
  gpio17: 11,
  gpio19: 35,
  gpio20: 38,
  gpio21: 40,
  gpio22: 15,
  gpio23: 16,
  gpio24: 18,
  gpio25: 22,
  gpio26: 37,
  gpio27: 13,
  gpio5: 29,
  gpio6: 31,
  gpio12: 32,
  gpio13: 33,
};

function named(pin: string): string {
  const header = HEADER_PINS[pin];
  return header === undefined ? pin : `${pin} (header pin ${header})`;
}
