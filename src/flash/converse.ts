/**
 * Runs a pure core against the world: performs what it asks and feeds the answer back.
 * Expected trouble is an answer; an exception from `perform` (lost device, cancelled job) ends the talk.
 */
export async function converse<Q, A, R>(
  core: Generator<Q, R, A>,
  perform: (request: Q) => Promise<A>,
  signal?: AbortSignal,
): Promise<R> {
  let step = core.next();
  while (step.done !== true) {
    signal?.throwIfAborted();
    step = core.next(await perform(step.value));
  }
  return step.value;
}
