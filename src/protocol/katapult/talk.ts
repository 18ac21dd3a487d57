// What a talk with Katapult may ask of its driver, how an answer is waited for, and what it means when none comes.
//
// Katapult's receiver never recovers from a damaged frame that begins with 0x01: it looks for the next 0x01 from where it
// stands, finds the same byte, and drops nothing, for ever (src/command.c, command_find_block). It says NACK once and is
// silent until the chip is reset. So a frame is written whole in one piece, and silence is the end of the talk. Rubbish
// without that byte (ModemManager's AT) is dropped with one NACK, and the frame behind it is answered.
import { OctopusError } from '../../errors.ts';
import type { SerialRequest } from '../klipper-identify.ts';
import { AnswerDecoder, COMMAND, encodeFrame, type Answer, type Command } from './frame.ts';

/** `progress` counts bytes. */
export type KatapultRequest =
  | SerialRequest
  | { readonly kind: 'progress'; readonly done: number; readonly total: number };
/** `'ok'` answers write and progress; bytes or undefined (silence) answer a read. */
export type KatapultTalk<R> = Generator<KatapultRequest, R, Uint8Array | 'ok' | undefined>;

export type Transport = 'usb' | 'can';

/** A healthy Katapult answers within milliseconds, unless it erases. */
export const PROMPT_TIMEOUT_MS = 2_000;
/** Reads that bring no whole answer, or answers to other questions, in a row: somebody else is talking. */
export const MAX_RUBBISH = 64;

/** One Katapult, for as long as its channel is open. */
export class KatapultLink {
  readonly over: Transport;
  /** For errors: the USB path, or the CAN node. */
  readonly place: string;
  readonly decoder = new AnswerDecoder();
  readonly queue: Answer[] = [];
  /** It has said NACK, and nothing else since. */
  isNacked = false;
  /** COMPLETE was sent: it may be gone at any moment. */
  isLeaving = false;

  constructor(over: Transport, place: string) {
    [this.over, this.place] = [over, place];
  }
}

/** The next answer, or undefined when none comes. */
export function* nextAnswer(link: KatapultLink, timeoutMs: number): KatapultTalk<Answer | undefined> {
  for (let rubbish = 0; link.queue.length === 0; rubbish++) {
    const bytes = rubbish < MAX_RUBBISH ? yield { kind: 'read', timeoutMs } : undefined;
    if (bytes instanceof Uint8Array) link.queue.push(...link.decoder.push(bytes));
    else {
      link.queue.push(...link.decoder.flush());
      if (link.queue.length === 0) return undefined;
    }
  }
  const answer = link.queue.shift();
  link.isNacked = answer?.kind === 'nack';
  return answer;
}

/**
 * Sends a command until it is acknowledged, once for each time-out; returns the acknowledgement's body, or `'error'`.
 * Answers to anything else are passed over: they belong to an earlier host, or to a command that was sent twice.
 * Throws `katapult-wedged`.
 */
export function* ask(
  link: KatapultLink,
  command: Command,
  timeoutsMs: readonly number[] = [PROMPT_TIMEOUT_MS, PROMPT_TIMEOUT_MS],
): KatapultTalk<Uint8Array | 'error'> {
  for (const timeoutMs of timeoutsMs) {
    yield { kind: 'write', bytes: encodeFrame(command) };
    for (let passedOver = 0; passedOver < MAX_RUBBISH; passedOver++) {
      const answer = yield* nextAnswer(link, timeoutMs);
      if (answer === undefined) break;
      if (answer.kind === 'ack' && answer.command === command) return answer.body;
      // CONNECT cannot fail: the error is the answer to what an earlier host asked last.
      if (answer.kind === 'error' && command !== COMMAND.connect) return 'error';
    }
  }
  throw wedged(link);
}

/** Its receiver is stuck, or nobody is there: no byte that we could send changes that. */
export function wedged(link: Pick<KatapultLink, 'over' | 'place' | 'isNacked'>): OctopusError {
  const said = link.isNacked ? 'refused what it received and is silent since' : 'does not answer any more';
  return new OctopusError('katapult-wedged', `Katapult at ${link.place} ${said}`, {
    place: link.place,
    // Twice: one reset starts whatever has a first word, and what was being written has one (katapult-order.ts).
    advice:
      link.over === 'can'
        ? `Only a reset helps: press the reset button of ${link.place} twice within half a second, or switch the power of ${link.place} off and on, then try again.`
        : 'Only a reset helps: the reset wire does that by itself; without one press the reset button twice within half a second, or switch the power off and on, then try again.',
  });
}
