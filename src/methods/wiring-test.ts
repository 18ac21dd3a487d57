// octopus.wiring_test: `octopus wiring --test`. Local only: who tests wires stands beside the printer.
import { testWiring } from '../flash/wiring-test.ts';
import { board, confirm } from './common-parameters.ts';
import { defineMethod } from './method.ts';

export const wiringTest = defineMethod({
  name: 'octopus.wiring_test',
  summary: 'prove the two wires: reset alone, BOOT0 with reset, and back; measure how fast this board is',
  needs: 'job',
  byWire: true,
  isLocal: true,
  parameters: { board, confirm },
  async run({ kit, place }, values, report, signal) {
    const order = { place: place(values.board), confirm: values.confirm };
    return { state: 'done' as const, board: values.board, ...(await testWiring(kit, order, report, signal)) };
  },
});
