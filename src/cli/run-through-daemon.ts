// Command line: a method carried out by the daemon: the same bar and the same answer as if it ran here.
import { OctopusError, type ErrorCode } from '../errors.ts';
import type { JobEvent } from '../jobs/job.ts';
import type { Method } from '../methods/method.ts';
import { progressFor } from './progress.ts';
import { STOPPING, type Command, type Given } from './command.ts';
import { withSignals } from './signals.ts';
import type { DaemonLink } from './world.ts';

/** Throws what the daemon refuses with or the job fails with, `no-daemon` when it goes away in between. */
export async function runThroughDaemon<A extends object>(
  { output, settings }: Command,
  daemon: DaemonLink,
  method: Method<A>,
  params: Given,
): Promise<A> {
  if (method.needs !== 'job') return answerOf(method, await daemon.call(method.name, params));
  const progress = await progressFor(output, method.name, () => performance.now(), settings.verbose);
  let isDone = false;
  try {
    const ended = Promise.withResolvers<A>();
    // Nobody may be waiting yet when it fails.
    ended.promise.catch(() => {});
    let id: string | undefined;
    const early: JobEvent[] = [];
    const take = (event: JobEvent) => {
      if (id === undefined) early.push(event);
      else if (event.job !== id) return;
      else if (event.kind !== 'ended') progress.take(event);
      else if (event.error === undefined) ended.resolve(answerOf(method, event.result ?? {}));
      else ended.reject(asError(event.error));
    };
    daemon.onJobEvent(take);
    void daemon.gone.then(() => ended.reject(wentAway()));
    let isCancelled = false;
    const cancel = () => {
      progress.note(STOPPING);
      isCancelled = true;
      if (id !== undefined) daemon.call('octopus.job_cancel', { job: id }).catch(() => {});
    };
    const answer = await withSignals(cancel, async () => {
      const told = await daemon.call(method.name, params);
      // With these parameters it needs no job: that is the answer.
      if (!isJob(told)) return answerOf(method, told);
      id = told.job;
      // Ctrl-C while the daemon was still making a job of it.
      if (isCancelled) cancel();
      for (const event of early) take(event);
      return ended.promise;
    });
    isDone = true;
    return answer;
  } finally {
    progress.end(isDone);
  }
}

/**
 * Hands the job to the daemon and does not wait for it: what Klipper starts ends with Klipper.
 * Throws `bad-parameter` for what is no job.
 */
export async function handOver(daemon: DaemonLink, method: Method, params: Given): Promise<string> {
  const told = await daemon.callAsRemote(method.name, params);
  if (isJob(told)) return told.job;
  throw new OctopusError('bad-parameter', `${method.name} with these parameters is no job`, {
    place: '--detach',
    advice: 'It is answered at once: leave --detach out.',
  });
}

function isJob(answer: object): answer is { readonly job: string } {
  return 'job' in answer && typeof answer.job === 'string';
}

/** The daemon is this program: what it answers is what the method's own type says. */
function answerOf<A extends object>(_method: Method<A>, answer: object): A {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- of one and the same program
  return answer as A;
}

function asError({ code, message, ...details }: { code: ErrorCode; message: string; advice: string }) {
  return new OctopusError(code, message, details);
}

function wentAway(): OctopusError {
  return new OctopusError('no-daemon', 'the daemon has closed the connection', {
    place: 'octopus daemon',
    advice:
      'It lets a running job end before it stops: see journalctl -u octopus-flasher, then octopus status.',
  });
}
