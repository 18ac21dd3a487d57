// Methods: a checked call started as a job, under the board's lock and with its journal.
import type { Job, NumberedEvent } from '../jobs/job.ts';
import { startJob, type JobKit, type RunningJob } from '../jobs/runner.ts';
import { contextOf, type Call, type House, type Method } from './method.ts';

/**
 * Starts a call that needs the board; the job's promise has its answer or its error.
 * Throws `busy`, `store-failed`, and what the call cannot load.
 */
export async function startCall<A extends object>(
  kit: JobKit,
  house: House,
  method: Method<A>,
  call: Call<A>,
  onEvent: (event: NumberedEvent, job: Job) => void,
): Promise<RunningJob<A>> {
  const { board } = call;
  if (board === undefined) throw new TypeError(`${method.name} is a job and has no board`);
  await call.load(house);
  return startJob<A>(kit, {
    method: method.name,
    board,
    onEvent,
    work: (whole, report, signal) => call.run(contextOf(whole, house), report, signal),
  });
}
