// octopus.reset
import { reset as carryOut } from '../flash/reset.ts';
import { requireWires } from './boards.ts';
import { board, confirm } from './common-parameters.ts';
import { defineMethod } from './method.ts';

const NAME = 'octopus.reset';

export const reset = defineMethod({
  name: NAME,
  summary: 'one pulse on the reset wire, and a look at what comes back',
  needs: 'job',
  byWire: true,
  parameters: { board, confirm },
  async run({ kit, place }, values, report, signal) {
    const order = { place: requireWires(place(values.board), NAME), confirm: values.confirm };
    return { state: 'done' as const, board: values.board, ...(await carryOut(kit, order, report, signal)) };
  },
});
