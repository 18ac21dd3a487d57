// octopus.backups
import { readRecords } from '../flash/backup.ts';
import { backupAnswer } from './answers.ts';
import { board } from './common-parameters.ts';
import { defineMethod } from './method.ts';
import { optional } from './parameters.ts';

export const backups = defineMethod({
  name: 'octopus.backups',
  summary: 'list what was kept, oldest first',
  needs: 'store',
  parameters: { board: optional(board, 'only of this board') },
  async run({ kit, boards: book }, values) {
    const boards = values.board === undefined ? book.names : [values.board];
    const lists = await Promise.all(boards.map((name) => readRecords(kit, name)));
    return {
      backups: lists.flatMap(({ records }) => records.map(backupAnswer)),
      /** Files whose description is damaged: their backups cannot be used. */
      unreadable: lists.flatMap(({ unreadable }) => unreadable),
    };
  },
});
