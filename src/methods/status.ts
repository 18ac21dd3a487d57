// octopus.status
import { hex } from '../errors.ts';
import { status as look } from '../flash/status.ts';
import { unfinishedJob } from '../jobs/journal.ts';
import { board } from './common-parameters.ts';
import { defineMethod } from './method.ts';

export const status = defineMethod({
  name: 'octopus.status',
  summary: 'what is known of the board, touching nothing',
  needs: 'board',
  parameters: { board },
  async run({ kit, place }, values) {
    const { memory, ...seen } = await look(kit, place(values.board));
    const { lastFlash, ...learnt } = memory;
    const unfinished = await unfinishedJob(kit, values.board);
    return {
      ...seen,
      lastFlash: lastFlash === undefined ? null : { ...lastFlash, linkAddress: hex(lastFlash.linkAddress) },
      /** A job whose process died; the board may hold half of an image. */
      unfinishedJob:
        unfinished === undefined
          ? null
          : { method: unfinished.method, startedAt: unfinished.startedAt, steps: unfinished.steps.length },
      memory: learnt,
    };
  },
});
