// octopus.backups
import { readRecords } from '../flash/backup.ts';
import { lastGoodOf, reasonsToKeep, surveyBackups } from '../flash/backup-survey.ts';
import { marksOf } from '../flash/prune.ts';
import type { Board } from '../boards/types.ts';
import { journalText } from '../jobs/journal.ts';
import { surveyAnswer } from './answers.ts';
import { nodeAt, nodeParameters } from './can-node.ts';
import { board } from './common-parameters.ts';
import { defineMethod, type Context } from './method.ts';
import { optional } from './parameters.ts';

export const backups = defineMethod({
  name: 'octopus.backups',
  summary: 'list what was kept, oldest first: what it holds, what never goes, what could not be put back',
  needs: 'store',
  parameters: { board: optional(board, 'only of this board'), ...nodeParameters },
  async run({ kit, boards: book, place }, values) {
    const names = values.board === undefined ? book.names : [values.board];
    const lists = await Promise.all(
      names.map((name) => {
        const at = values.board === undefined ? place(name) : nodeAt(place(name), values);
        return listOf(kit, at.board, name);
      }),
    );
    return {
      backups: lists.flatMap(({ surveyed }) => surveyed),
      /** Files whose description is damaged: their backups cannot be used. */
      unreadable: lists.flatMap(({ unreadable }) => unreadable),
    };
  },
});

/** @param name by which jobs have the board's journal */
async function listOf(kit: Context<'store'>['kit'], of: Board, name: string) {
  const { unreadable } = await readRecords(kit, of.name);
  const marks = await marksOf(kit, of, await journalText(kit, name));
  const all = await surveyBackups(kit, of);
  const last = lastGoodOf(all, marks.lastGood);
  return {
    unreadable,
    surveyed: all.map((one) => surveyAnswer(one, reasonsToKeep(one, all, marks), one === last)),
  };
}
