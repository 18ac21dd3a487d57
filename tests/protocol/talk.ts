// Runs a core against a scripted other side, and keeps what it asked.
import type { DfuAnswer, DfuRequest, DfuTalk, DfuTransfer, TransferAnswer } from '../../src/protocol/dfu.ts';

/** A series stands as its transfers. */
export type Asked = Exclude<DfuRequest, { kind: 'series' }>;

export interface Talked<R> {
  readonly result: R;
  readonly asked: readonly Asked[];
  /** How many transfers each series had, in order. */
  readonly series: readonly number[];
}

/**
 * `answer` gives what the device says to each transfer; waits and progress are answered here.
 * As the port has it, in a series nothing is sent behind a time-out.
 */
export function talkWith<R>(
  core: DfuTalk<R>,
  answer: (request: DfuTransfer, index: number) => TransferAnswer,
): Talked<R> {
  const asked: Asked[] = [];
  const series: number[] = [];
  const transfer = (request: DfuTransfer): TransferAnswer => {
    asked.push(request);
    return answer(request, asked.length - 1);
  };
  let step = core.next();
  while (step.done !== true) {
    const request = step.value;
    if (asked.length > 10_000) throw new Error('the core never ends');
    let said: DfuAnswer = 'ok';
    if (request.kind === 'series') {
      series.push(request.transfers.length);
      const answers: TransferAnswer[] = [];
      for (const one of request.transfers)
        answers.push(answers.includes('timeout') ? 'timeout' : transfer(one));
      said = answers;
    } else if (request.kind === 'in' || request.kind === 'out') {
      said = transfer(request);
    } else {
      asked.push(request);
    }
    step = core.next(said);
  }
  return { result: step.value, asked, series };
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
