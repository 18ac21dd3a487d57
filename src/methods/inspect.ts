// octopus.inspect
import { inspect as readPassport } from '../firmware/inspect.ts';
import { passportAnswer } from './answers.ts';
import { readImageFile } from './image-file.ts';
import { defineMethod } from './method.ts';
import { text } from './parameters.ts';

export const inspect = defineMethod({
  name: 'octopus.inspect',
  summary: 'what a firmware file is, by its own bytes',
  needs: 'nothing',
  parameters: { image: text('the firmware file: .bin, .hex or .elf', 'FILE', 'operand') },
  async run(_context, values) {
    const file = await readImageFile(values.image);
    return passportAnswer(readPassport(file.bytes, file.name));
  },
});
