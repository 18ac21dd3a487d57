// octopus.wiring_test: `octopus wiring --test`. Local only: who tests wires stands beside the printer.
import { testWiring } from '../flash/wiring-test.ts';
import { requireWires } from './boards.ts';
import { board, confirm } from './common-parameters.ts';
import { defineMethod } from './method.ts';

const NAME = 'octopus.wiring_test';

export const wiringTest = defineMethod({
  name: NAME,
  summary: 'prove the two wires: reset alone, BOOT0 with reset, and back; measure how fast this board is',
  needs: 'job',
  byWire: true,
  isLocal: true,
  parameters: { board, confirm },
  async run({ kit, place }, values, report, signal) {
    const order = { place: requireWires(place(values.board), NAME), confirm: values.confirm };
    return { state: 'done' as const, board: values.board, ...(await testWiring(kit, order, report, signal)) };
  },
});
