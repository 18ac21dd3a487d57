// octopus.inspect
import { OctopusError } from '../errors.ts';
import { inspect as readPassport } from '../firmware/inspect.ts';
import { passportAnswer } from './answers.ts';
import { defineMethod } from './method.ts';
import { text } from './parameters.ts';

export const inspect = defineMethod({
  name: 'octopus.inspect',
  summary: 'what a firmware file is, by its own bytes',
  needs: 'nothing',
  parameters: { image: text('the firmware file: .bin, .hex or .elf', 'FILE', 'operand') },
  async run({ images }, values) {
    const named = await images.read(values.image);
    if (named.kind === 'file') return passportAnswer(readPassport(named.file.bytes, named.file.name));
    throw new OctopusError('bad-parameter', 'a backup is no image file', {
      place: 'image',
      advice: 'octopus.backups tells what each backup holds.',
    });
  },
});
