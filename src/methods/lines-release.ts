// octopus.lines_release: for systemd after the daemon died, and for people. Local only.
import { board } from './common-parameters.ts';
import { floatLines } from './float-lines.ts';
import { defineMethod } from './method.ts';
import { optional } from './parameters.ts';

export const linesRelease = defineMethod({
  name: 'octopus.lines_release',
  summary: 'let BOOT0 and reset float, and read back that they do',
  needs: 'board',
  isLocal: true,
  isRescue: true,
  parameters: { board: optional(board, 'only those of this board') },
  async run({ kit, place, boards: book }, values) {
    const only = values.board ?? book.onlyBoard;
    const boards = only === undefined ? book.configured : [only];
    for (const name of boards) await floatLines(kit, place(name).pins, name);
    return { state: 'done' as const, boards, lines: 'floating' as const };
  },
});
