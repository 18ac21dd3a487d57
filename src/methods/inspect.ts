// octopus.inspect: a firmware file, or what lies on a board. The file needs no board and no lock; the board is a job.
import { OctopusError } from '../errors.ts';
import { inspect as readPassport } from '../firmware/inspect.ts';
import { inspectBoard } from '../flash/inspect-board.ts';
import { unfinishedJob } from '../jobs/journal.ts';
import { passportAnswer } from './answers.ts';
import { chipAnswer } from './chip-answer.ts';
import { nodeAt, nodeParameters } from './can-node.ts';
import { board, confirm } from './common-parameters.ts';
import { defineMethod } from './method.ts';
import { optional, text } from './parameters.ts';

const NAME = 'octopus.inspect';

export const inspect = defineMethod({
  name: NAME,
  summary:
    'what a firmware file is, by its own bytes; with a board: what lies on its chip, read by its bootloader',
  needs: 'job',
  needsWith: ({ board: name, image }) => {
    if ((name === undefined) === (image === undefined)) throw oneOfTwo(name === undefined);
    return name === undefined ? 'nothing' : 'job';
  },
  parameters: {
    image: optional(
      text('', 'FILE', 'operand'),
      'the firmware file: .bin, .hex or .elf; leave it out to look at a board',
    ),
    board: optional(board, 'the board to look at, instead of a file'),
    ...nodeParameters,
    confirm,
  },
  async run({ images, kit, place }, values, report, signal) {
    if (values.board !== undefined) {
      const order = { place: nodeAt(place(values.board), values), confirm: values.confirm };
      // This job's own journal takes its place.
      const dead = await unfinishedJob(kit, values.board);
      return chipAnswer(values.board, await inspectBoard(kit, order, report, signal), dead);
    }
    const named = await images.read(values.image ?? '');
    if (named.kind === 'file') return passportAnswer(readPassport(named.file.bytes, named.file.name));
    throw new OctopusError('bad-parameter', 'a backup is no image file', {
      place: 'image',
      advice: 'octopus.backups tells what each backup holds.',
    });
  },
});

function oneOfTwo(isNone: boolean): OctopusError {
  return new OctopusError(
    'bad-parameter',
    isNone ? `${NAME} needs a file or a board` : `${NAME} takes a file or a board, not both`,
    {
      place: isNone ? 'image' : 'board',
      advice:
        'Name the firmware file (octopus inspect FILE), or the board whose chip is to be read (octopus inspect --board NAME).',
    },
  );
}
