// octopus.flash
import { flash as carryOut } from '../flash/flash.ts';
import { FORCES } from '../flash/preflight.ts';
import { flashAnswer } from './answers.ts';
import { board, confirm } from './common-parameters.ts';
import { readImageFile } from './image-file.ts';
import { defineMethod } from './method.ts';
import { choices, flag, text } from './parameters.ts';

export const flash = defineMethod({
  name: 'octopus.flash',
  summary: 'back the board up, write an image, verify it, boot it and ask it who it is',
  needs: 'job',
  parameters: {
    board,
    image: text('the firmware file: .bin, .hex or .elf', 'FILE'),
    dry_run: flag('check and plan only; the board is not touched'),
    confirm,
    force: choices('what to do in spite of a guard', 'WHAT', FORCES),
    replace_bootloader: flag('let the image take the place of a bootloader; a backup of it is kept'),
    verify: flag('do not read back what was written; only for measuring', true),
  },
  async run({ kit, place }, values, report, signal) {
    const order = {
      place: place(values.board),
      file: await readImageFile(values.image),
      dryRun: values.dry_run,
      confirm: values.confirm,
      force: values.force,
      replaceBootloader: values.replace_bootloader,
      verify: values.verify,
    };
    return flashAnswer(await carryOut(kit, order, report, signal));
  },
});
