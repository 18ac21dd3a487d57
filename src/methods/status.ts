// octopus.status
import { hex } from '../errors.ts';
import { status as look } from '../flash/status.ts';
import { readReplacement } from '../flash/replacement.ts';
import { unfinishedJob } from '../jobs/journal.ts';
import { board } from './common-parameters.ts';
import { defineMethod, type Context } from './method.ts';
import { optional } from './parameters.ts';

export const status = defineMethod({
  name: 'octopus.status',
  summary: 'what is known of the boards, touching nothing',
  needs: 'board',
  parameters: { board: optional(board, 'only this board') },
  async run(context, values) {
    const { boards: book, daemon, jobs } = context;
    const only = values.board ?? book.onlyBoard;
    return {
      boards: await Promise.all(
        (only === undefined ? book.configured : [only]).map((name) => one(context, name)),
      ),
      jobs: jobs.running().map(({ id }) => id),
      daemon: daemon === undefined ? null : await daemon(),
    };
  },
});

async function one({ kit, place }: Context<'board'>, name: string) {
  const { memory, ...seen } = await look(kit, place(name));
  const { lastFlash, ...learnt } = memory;
  const unfinished = await unfinishedJob(kit, name);
  const open = await readReplacement(kit, name);
  return {
    ...seen,
    lastFlash: lastFlash === undefined ? null : { ...lastFlash, linkAddress: hex(lastFlash.linkAddress) },
    /** A job whose process died; the board may hold half of an image. */
    unfinishedJob:
      unfinished === undefined
        ? null
        : { method: unfinished.method, startedAt: unfinished.startedAt, steps: unfinished.steps.length },
    /** What was begun to be written and was not seen to run since: octopus.repair. */
    replacement:
      open === undefined
        ? null
        : {
            startedAt: open.startedAt,
            kind: open.passport.kind,
            version: open.passport.version,
            address: hex(open.address),
          },
    memory: learnt,
  };
}
