// octopus.restore
import { restore as carryOut } from '../flash/restore.ts';
import { flashAnswer } from './answers.ts';
import { nodeAt, nodeParameters } from './can-node.ts';
import { board, confirm } from './common-parameters.ts';
import { defineMethod } from './method.ts';
import { flag, text } from './parameters.ts';

export const restore = defineMethod({
  name: 'octopus.restore',
  summary: 'put a backup back on the board, verify and boot it',
  needs: 'job',
  parameters: {
    board,
    ...nodeParameters,
    backup: text('the id of the backup, or its first letters', 'BACKUP', 'operand'),
    dry_run: flag('check and plan only; the board is not touched'),
    confirm,
  },
  onlyLooks: (values) => values.dry_run,
  async run({ kit, place }, values, report, signal) {
    const order = {
      place: nodeAt(place(values.board), values),
      backup: values.backup,
      confirm: values.confirm,
      dryRun: values.dry_run,
    };
    return flashAnswer(await carryOut(kit, order, report, signal));
  },
});
