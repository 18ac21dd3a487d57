// octopus.job_get, octopus.job_list, octopus.job_cancel
import { defineMethod } from './method.ts';
import { count, text } from './parameters.ts';

const job = text('the id of the job, or its first letters', 'JOB', 'operand');

export const jobGet = defineMethod({
  name: 'octopus.job_get',
  summary: 'a job with its events, its result or its error',
  needs: 'nothing',
  parameters: { job, after: count('only the events after this number') },
  run: async ({ jobs }, values) => jobs.get(values.job, values.after),
});

export const jobList = defineMethod({
  name: 'octopus.job_list',
  summary: 'the running jobs and the last that ended, oldest first',
  needs: 'nothing',
  parameters: {},
  run: async ({ jobs }) => ({ jobs: jobs.list().map(({ events: _events, ...rest }) => rest) }),
});

export const jobCancel = defineMethod({
  name: 'octopus.job_cancel',
  summary: 'ask a job to stop; a write that has begun runs to its end',
  needs: 'nothing',
  parameters: { job },
  async run({ jobs }, values) {
    const { id, state, cancelAsked } = jobs.cancel(values.job);
    return { job: id, state, cancelAsked };
  },
});
