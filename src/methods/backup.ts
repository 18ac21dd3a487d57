// octopus.backup
import { takeBackup } from '../flash/take-backup.ts';
import { backupAnswer } from './answers.ts';
import { board, confirm } from './common-parameters.ts';
import { defineMethod } from './method.ts';

export const backup = defineMethod({
  name: 'octopus.backup',
  summary: 'read the whole flash of the board and keep it',
  needs: 'job',
  parameters: { board, confirm },
  async run({ kit, place }, values, report, signal) {
    const taken = await takeBackup(
      kit,
      { place: place(values.board), confirm: values.confirm },
      report,
      signal,
    );
    return { state: 'done' as const, ...taken, record: backupAnswer(taken.record) };
  },
});
