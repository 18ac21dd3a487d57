// octopus.flash
import { OctopusError } from '../errors.ts';
import { flash as carryOut } from '../flash/flash.ts';
import { FORCES } from '../flash/preflight.ts';
import { restore } from '../flash/restore.ts';
import { flashAnswer } from './answers.ts';
import { board, confirm, image } from './common-parameters.ts';
import { nodeAt, nodeParameters } from './can-node.ts';
import { defineMethod } from './method.ts';
import { choices, flag } from './parameters.ts';
import { tidyBackups } from './tidy-backups.ts';

export const flash = defineMethod({
  name: 'octopus.flash',
  summary: 'back the board up, write an image, verify it, boot it and ask it who it is',
  needs: 'job',
  parameters: {
    board,
    image,
    ...nodeParameters,
    dry_run: flag('check and plan only; the board is not touched'),
    confirm,
    force: choices('what to do in spite of a guard', 'WHAT', FORCES),
    replace_bootloader: flag('let the image take the place of a bootloader; a backup of it is kept'),
    verify: flag('do not read back what was written; only for measuring', true),
  },
  onlyLooks: (values) => values.dry_run,
  /** Read once: these bytes are inspected, hashed and written, whatever happens to the file. */
  async load({ images, isRemote }, values) {
    if (isRemote && values.force.includes('unknown-kind')) throw notRemotely();
    return images.read(values.image);
  },
  async run({ kit, place, loaded: named }, values, report, signal) {
    const asked = {
      place: nodeAt(place(values.board), values),
      confirm: values.confirm,
      dryRun: values.dry_run,
    };
    const result =
      named.kind === 'backup'
        ? await restore(kit, { ...asked, backup: named.id }, report, signal)
        : await carryOut(
            kit,
            {
              ...asked,
              file: named.file,
              force: values.force,
              replaceBootloader: values.replace_bootloader,
              verify: values.verify,
            },
            report,
            signal,
          );
    const answer = flashAnswer(result);
    if (values.dry_run) return answer;
    return {
      ...answer,
      notes: [...answer.notes, ...(await tidyBackups(kit, asked.place, values.board, report))],
    };
  },
});

/** design, "What may be written where". */
function notRemotely(): OctopusError {
  return new OctopusError(
    'image-unknown-kind',
    'an image of an unknown kind is never taken through Moonraker',
    {
      place: 'force',
      advice: 'On the host: octopus flash --force unknown-kind.',
    },
  );
}
