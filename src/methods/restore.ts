// octopus.restore
import { OctopusError } from '../errors.ts';
import { PARTS } from '../flash/backup-parts.ts';
import type { ImageFile } from '../flash/preflight.ts';
import { restore as carryOut } from '../flash/restore.ts';
import { flashAnswer } from './answers.ts';
import { nodeAt, nodeParameters } from './can-node.ts';
import { board, confirm } from './common-parameters.ts';
import type { ImageSource } from './image-source.ts';
import { defineMethod } from './method.ts';
import { choice, flag, optional, text } from './parameters.ts';
import { tidyBackups } from './tidy-backups.ts';

const backup = text('', 'BACKUP', 'operand');
const file = text('', 'FILE');

export const restore = defineMethod({
  name: 'octopus.restore',
  summary: "put a backup, or a maker's bootloader, back on the board, verify and boot it",
  needs: 'job',
  parameters: {
    board,
    ...nodeParameters,
    backup: optional(
      backup,
      'the id of the backup, or its first letters; last: the last application that ran',
    ),
    what: choice('only this of it (default: all that it holds; of last what was replaced)', 'WHAT', PARTS),
    file: optional(file, "instead of a backup: the bootloader of the board's maker, a .hex or .bin file"),
    application: optional(file, 'a klipper.bin that the bootloader is to launch, written together with it'),
    dry_run: flag('check and plan only; the board is not touched'),
    confirm,
  },
  onlyLooks: (values) => values.dry_run,
  /** Read once, and refused at once. */
  async load({ images }, values) {
    const { application } = values;
    return {
      source: await sourceOf(images, values),
      application: application === undefined ? undefined : await fileOf(images, application),
    };
  },
  async run({ kit, place, loaded: { source, application } }, values, report, signal) {
    const order = {
      place: nodeAt(place(values.board), values),
      backup: source,
      what: values.what,
      application,
      confirm: values.confirm,
      dryRun: values.dry_run,
    };
    const answer = flashAnswer(await carryOut(kit, order, report, signal));
    if (values.dry_run) return answer;
    return {
      ...answer,
      notes: [...answer.notes, ...(await tidyBackups(kit, order.place, values.board, report))],
    };
  },
});

interface Named {
  readonly backup: string | undefined;
  readonly file: string | undefined;
  readonly what: string | undefined;
}

/** Throws `bad-parameter` unless exactly one thing is named, and what reading a file throws. */
async function sourceOf(images: ImageSource, named: Named): Promise<string | ImageFile> {
  if (named.backup !== undefined && named.file === undefined) return named.backup;
  if (named.file === undefined) throw wrong('backup', 'nothing is named that could go back');
  if (named.backup !== undefined) throw wrong('file', 'a backup and a file are named');
  const read = await images.read(named.file);
  if (read.kind === 'backup') return read.id;
  if (named.what !== undefined) throw wrong('what', 'of a file all goes back');
  return read.file;
}

async function fileOf(images: ImageSource, name: string): Promise<ImageFile> {
  const read = await images.read(name);
  if (read.kind === 'file') return read.file;
  throw wrong('application', 'the application to go along is a file, and no backup');
}

function wrong(place: string, message: string): OctopusError {
  return new OctopusError('bad-parameter', message, {
    place,
    advice: 'Give a backup (octopus backups), or last, or file with the .hex of a bootloader.',
  });
}
