// Command line: copies of a board's flash in words.
import type { SurveyAnswer } from '../methods/answers.ts';
import type { AnswerOf, METHODS } from '../methods/table.ts';
import { rows, seconds } from './summaries.ts';

export function backupSummary(answer: AnswerOf<typeof METHODS.backup>): readonly string[] {
  const { backup, record, timings } = answer;
  return [
    `${backup.alreadyKept ? 'Already kept' : 'Kept'}: backup ${backup.id} of ${record.board} in ${seconds(timings.total)}.`,
    ...rows([
      ['holds', `${record.sizeBytes} bytes from ${record.address}`],
      ['bootloader', record.bootloader ?? 'none known'],
      ['firmware', record.application ?? 'none'],
    ]),
  ];
}

export function backupsSummary({ backups, unreadable }: AnswerOf<typeof METHODS.backups>): readonly string[] {
  const damaged = unreadable.map((key) => `damaged, cannot be used: ${key}`);
  return backups.length === 0 ? ['No backups.', ...damaged] : [...backups.flatMap(backupLines), ...damaged];
}

const KEPT_BECAUSE: Readonly<Record<SurveyAnswer['keptBecause'][number], string>> = {
  first: 'the first of this chip',
  'only-whole': 'the only whole one of this chip',
  'only-bootloader': 'the only one of its bootloader',
  'last-good': 'the last that ran',
  'last-flash': 'what the last flash replaced',
  unfinished: 'needed by a job that has not come to its end',
};

function backupLines(backup: SurveyAnswer): readonly string[] {
  const { id, date, board, what, address, sizeBytes, holds, keptBecause, isLast, refused } = backup;
  const parts = [holds.bootloader, holds.application].filter((part) => part !== null);
  const kept = keptBecause.map((reason) => KEPT_BECAUSE[reason]).join(', ');
  return [
    `${id}${isLast ? ' (last)' : ''}  ${date}  ${board}  ${what} ${address} ${sizeBytes} bytes`,
    ...rows([
      ['holds', parts.length === 0 ? 'no firmware that is known' : parts.join(', ')],
      ['kept', kept === '' ? undefined : `always: ${kept}`],
      ['refused', refused && `${refused.message} (${refused.code})`],
    ]),
  ];
}
