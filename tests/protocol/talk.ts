// Runs a core against a scripted other side, and keeps what it asked.
import type { DfuAnswer, DfuRequest, DfuTalk } from '../../src/protocol/dfu.ts';

export interface Talked<R> {
  readonly result: R;
  readonly asked: readonly DfuRequest[];
}

/** `answer` gives what the device says to each request; waits and progress are answered here. */
export function talkWith<R>(
  core: DfuTalk<R>,
  answer: (request: DfuRequest, index: number) => DfuAnswer,
): Talked<R> {
  const asked: DfuRequest[] = [];
  let step = core.next();
  while (step.done !== true) {
    const request = step.value;
    asked.push(request);
    if (asked.length > 10_000) throw new Error('the core never ends');
    const isTransfer = request.kind === 'in' || request.kind === 'out';
    step = core.next(isTransfer ? answer(request, asked.length - 1) : 'ok');
  }
  return { result: step.value, asked };
}

/** GETSTATUS's six bytes. */
export function statusBytes(state: number, pollTimeoutMs = 0, status = 0): Uint8Array {
  return Uint8Array.of(
    status,
    pollTimeoutMs & 0xff,
    (pollTimeoutMs >> 8) & 0xff,
    pollTimeoutMs >> 16,
    state,
    0,
  );
}
