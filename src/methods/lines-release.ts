// octopus.lines_release: for systemd after the daemon died, and for people. Local only.
import { board } from './common-parameters.ts';
import { floatLines } from './float-lines.ts';
import { defineMethod } from './method.ts';

export const linesRelease = defineMethod({
  name: 'octopus.lines_release',
  summary: 'let BOOT0 and reset of the board float, and read back that they do',
  needs: 'board',
  isLocal: true,
  parameters: { board },
  async run({ kit, place }, values) {
    await floatLines(kit, place(values.board).pins, values.board);
    return { state: 'done' as const, board: values.board, lines: 'floating' as const };
  },
});
