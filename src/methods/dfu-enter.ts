// octopus.dfu_enter
import { dfuEnter as carryOut } from '../flash/dfu-enter.ts';
import { board, confirm } from './common-parameters.ts';
import { defineMethod } from './method.ts';
import { seconds } from './parameters.ts';

export const dfuEnter = defineMethod({
  name: 'octopus.dfu_enter',
  summary: 'hold the board in DFU mode for other tools, then boot it again',
  needs: 'job',
  parameters: {
    board,
    hold_s: seconds('how long the board stays in DFU mode', { min: 0, max: 3600, fallback: 30 }),
    confirm,
  },
  async run({ kit, place }, values, report, signal) {
    const order = {
      place: place(values.board),
      confirm: values.confirm,
      holdMs: values.hold_s * 1000,
    };
    return { state: 'done' as const, board: values.board, ...(await carryOut(kit, order, report, signal)) };
  },
});
