// octopus.backup
import { takeBackup } from '../flash/take-backup.ts';
import { backupAnswer } from './answers.ts';
import { nodeAt, nodeParameters } from './can-node.ts';
import { board, confirm } from './common-parameters.ts';
import { defineMethod } from './method.ts';
import { tidyBackups } from './tidy-backups.ts';

export const backup = defineMethod({
  name: 'octopus.backup',
  summary: 'read the whole flash of the board and keep it',
  needs: 'job',
  parameters: { board, confirm, ...nodeParameters },
  async run({ kit, place }, values, report, signal) {
    const at = nodeAt(place(values.board), values);
    const taken = await takeBackup(kit, { place: at, confirm: values.confirm }, report, signal);
    const notes = [...taken.notes, ...(await tidyBackups(kit, at, values.board, report))];
    return { state: 'done' as const, ...taken, notes, record: backupAnswer(taken.record) };
  },
});
