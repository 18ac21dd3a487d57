// Many blocks at once: how many frames may be under way, and what to do about an answer that does not come. Pure.
import { COMMAND, encodeFrame, readWord, word, type Answer, type Command } from './frame.ts';
import {
  MAX_RUBBISH,
  PROMPT_TIMEOUT_MS,
  ask,
  nextAnswer,
  wedged,
  type KatapultLink,
  type KatapultRequest,
  type KatapultTalk,
  type Transport,
} from './talk.ts';

/**
 * Frames under way. USB: a chip whose answers nobody fetches drops the 14th acknowledgement (16 bytes) and the 4th block
 * (80 bytes), since transmit_buf has 192 (src/generic/usb_cdc.c). CAN: receive_buf has room for two frames
 * (src/generic/canserial.c), and while the flash works the controller's three mailboxes are all there is.
 */
const UNDER_WAY: Record<Transport, Record<'send' | 'request', number>> = {
  usb: { send: 8, request: 2 },
  can: { send: 1, request: 1 },
};

const ADDRESS_BYTES = 4;

export interface Block {
  readonly address: number;
  readonly bytes: Uint8Array;
}

export interface BlockRequest {
  readonly command: Command;
  readonly address: number;
  readonly frame: Uint8Array;
  /** What follows the address in its acknowledgement, bytes. */
  readonly answerBytes: number;
}

export function sendRequest({ address, bytes }: Block): BlockRequest {
  const payload = new Uint8Array(ADDRESS_BYTES + bytes.length);
  payload.set(word(address));
  payload.set(bytes, ADDRESS_BYTES);
  return {
    command: COMMAND.sendBlock,
    address,
    frame: encodeFrame(COMMAND.sendBlock, payload),
    answerBytes: 0,
  };
}

export function readRequest(address: number, blockBytes: number): BlockRequest {
  const frame = encodeFrame(COMMAND.requestBlock, word(address));
  return { command: COMMAND.requestBlock, address, frame, answerBytes: blockBytes };
}

export function underWay(link: KatapultLink, kind: 'send' | 'request'): number {
  return UNDER_WAY[link.over][kind];
}

export type Progress = Extract<KatapultRequest, { kind: 'progress' }>;

export interface Pace {
  /** Frames under way at most. */
  readonly window: number;
  /** How long the first answer may take. */
  readonly timeoutMs: number;
}

/** How often the same silence is answered with a frame sent again. */
const MAX_SILENCES = 3;
/** After a NACK it answers what it could read at once or never. */
const NACKED_TIMEOUT_MS = 500;

/**
 * Sends all requests and waits for their acknowledgements. Katapult answers in the order of the frames, so an answer to a
 * later one says that an earlier one's is lost: that frame is sent again, which changes nothing on a chip that has
 * carried it out (src/stm32/flash.c, flash_write_block: "Retransmitted request"). The caller sees to it that no frame is
 * among them for which this is not so.
 * @param accept hears each acknowledgement once, and says how far that is
 * Ends with `'refused'` at the first command error; what was under way is answered or lost by then.
 * Throws `katapult-wedged`.
 */
export function* exchange(
  link: KatapultLink,
  requests: readonly BlockRequest[],
  { window, timeoutMs }: Pace,
  accept: (request: BlockRequest, body: Uint8Array) => Progress,
): KatapultTalk<'done' | 'refused'> {
  const under = new UnderWay(requests);
  let room = window;
  let patienceMs = timeoutMs;
  let silences = 0;
  let passedOver = 0;
  while (!under.isDone) {
    for (let next = under.next(room); next !== undefined; next = under.next(room))
      yield { kind: 'write', bytes: next.frame };
    const answer =
      passedOver < MAX_RUBBISH
        ? yield* nextAnswer(link, link.isNacked ? NACKED_TIMEOUT_MS : patienceMs)
        : undefined;
    if (answer === undefined) {
      silences += 1;
      if (silences === MAX_SILENCES) throw wedged(link);
      // A receiver that has dropped a damaged frame listens again, a wedged one does not: this tells them apart.
      if (link.isNacked) yield* ask(link, COMMAND.connect, [timeoutMs]);
      else patienceMs = PROMPT_TIMEOUT_MS;
      // From here on one by one: whatever loses answers loses fewer then.
      room = 1;
      passedOver = 0;
      under.lostAll();
      continue;
    }
    if (answer.kind === 'error') {
      yield* drain(link, under.count - 1);
      return 'refused';
    }
    const request = under.answered(answer);
    if (request === undefined || answer.kind !== 'ack') {
      passedOver += 1;
      continue;
    }
    [silences, passedOver] = [0, 0];
    yield accept(request, answer.body.subarray(ADDRESS_BYTES));
  }
  return 'done';
}

/** Which requests are still to be sent, and which wait for their answer, in the order they were sent. */
class UnderWay {
  readonly #owed: BlockRequest[];
  readonly #sent: BlockRequest[] = [];
  readonly #wereSent = new Set<BlockRequest>();

  constructor(requests: readonly BlockRequest[]) {
    this.#owed = [...requests];
  }

  get isDone(): boolean {
    return this.#owed.length + this.#sent.length === 0;
  }

  get count(): number {
    return this.#sent.length;
  }

  /** The next one to send, if there is room. */
  next(room: number): BlockRequest | undefined {
    const next = this.#sent.length < room ? this.#owed.shift() : undefined;
    if (next === undefined) return undefined;
    this.#sent.push(next);
    this.#wereSent.add(next);
    return next;
  }

  lostAll(): void {
    this.#owed.unshift(...this.#sent.splice(0));
  }

  /** The request that `answer` belongs to; undefined where it is to an earlier question, or comes twice. */
  answered(answer: Answer): BlockRequest | undefined {
    const isIts = ({ command, address, answerBytes }: BlockRequest): boolean =>
      answer.kind === 'ack' &&
      answer.command === command &&
      answer.body.length === ADDRESS_BYTES + answerBytes &&
      readWord(answer.body, 0) === address;
    const at = this.#sent.findIndex(isIts);
    if (at >= 0) {
      const [request] = this.#sent.splice(at, 1);
      this.#owed.unshift(...this.#sent.splice(0, at));
      return request;
    }
    // It was given up, and comes after all.
    const late = this.#owed.findIndex((request) => this.#wereSent.has(request) && isIts(request));
    return late < 0 ? undefined : this.#owed.splice(late, 1)[0];
  }
}

/** Waits for the answers that are still to come, so that none of them is taken for a later one. */
function* drain(link: KatapultLink, count: number): KatapultTalk<void> {
  for (let n = 0; n < count; n++) if ((yield* nextAnswer(link, PROMPT_TIMEOUT_MS)) === undefined) return;
}
