// octopus.reset
import { reset as carryOut } from '../flash/reset.ts';
import { board, confirm } from './common-parameters.ts';
import { defineMethod } from './method.ts';

export const reset = defineMethod({
  name: 'octopus.reset',
  summary: 'one pulse on the reset wire, and a look at what comes back',
  needs: 'job',
  byWire: true,
  parameters: { board, confirm },
  async run({ kit, place }, values, report, signal) {
    const order = { place: place(values.board), confirm: values.confirm };
    return { state: 'done' as const, board: values.board, ...(await carryOut(kit, order, report, signal)) };
  },
});
