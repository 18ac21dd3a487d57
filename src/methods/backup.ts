// octopus.backup
import { takeBackup } from '../flash/take-backup.ts';
import { backupAnswer } from './answers.ts';
import { nodeAt, nodeParameters } from './can-node.ts';
import { board, confirm } from './common-parameters.ts';
import { defineMethod } from './method.ts';

export const backup = defineMethod({
  name: 'octopus.backup',
  summary: 'read the whole flash of the board and keep it',
  needs: 'job',
  parameters: { board, confirm, ...nodeParameters },
  async run({ kit, place }, values, report, signal) {
    const taken = await takeBackup(
      kit,
      { place: nodeAt(place(values.board), values), confirm: values.confirm },
      report,
      signal,
    );
    return { state: 'done' as const, ...taken, record: backupAnswer(taken.record) };
  },
});
