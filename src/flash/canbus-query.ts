// Who is on a CAN bus and has no id yet? Asks once, and listens until the bus has nothing more to say.
import { queryUnassigned, readAnswer, type NodeAnswer } from '../protocol/klipper-can.ts';
import type { CanBus, CanFrame, CanTrouble } from '../ports/can.ts';
import { interfaceLeft, sendFrame } from './can-send.ts';
import type { Kit } from './kit.ts';

/**
 * A node answers in its main loop, some milliseconds after the query was on the wire (Klipper and Katapult
 * src/generic/canserial.c); one that is just starting has not heard it and never answers. What is promised is an end
 * 300 ms after the last answer and 1 s in all; the rest is for what stands around the listening.
 */
const SILENCE_MS = 250;
const LIMIT_MS = 900;
const READ_MS = 1;

export interface Answers {
  /** Each node once, in the order of the first answers. */
  readonly nodes: readonly (NodeAnswer & { readonly times: number })[];
  /**
   * Queries that were on the wire: ours, and those of other programs on this host meanwhile, each of which every node
   * answers. 0: ours still waits for somebody to acknowledge it.
   */
  readonly queries: number;
  /** Frames on the answers' identifier that are none. */
  readonly malformed: number;
  readonly troubles: ReadonlySet<CanTrouble>;
}

/**
 * Ends 250 ms after the last answer, and 900 ms after it began where the bus is never silent or takes no query.
 * Throws `no-hardware`, `no-device` when the query cannot be sent, `device-gone` when the interface goes.
 */
export async function askUnassigned(
  kit: Pick<Kit, 'can' | 'clock'>,
  interfaceName: string,
  signal?: AbortSignal,
): Promise<Answers> {
  const hearing = new Hearing(kit.clock);
  // A program on this host hears another's frame when it was on the wire. So two sockets: one asks, and the other
  // hears when that was really sent. While nobody acknowledges the query it is repeated, and who comes then answers.
  const ear = await kit.can.open(interfaceName);
  try {
    hearing.listenTo(ear);
    const mouth = await kit.can.open(interfaceName);
    try {
      await sendFrame(kit, mouth, queryUnassigned(), interfaceName, signal);
      await hearing.untilSilence(signal);
    } finally {
      await mouth.close();
    }
  } finally {
    await ear.close();
  }
  if (hearing.isGone) throw interfaceLeft(interfaceName);
  return hearing.answers();
}

class Hearing {
  readonly #clock: Kit['clock'];
  readonly #deadline: number;
  readonly #nodes = new Map<string, NodeAnswer & { times: number }>();
  readonly #troubles = new Set<CanTrouble>();
  readonly #gone = new AbortController();
  readonly #began = new AbortController();
  #queries = 0;
  #malformed = 0;
  /** Of the query on the wire, later of the last answer. */
  #lastAt = Infinity;

  constructor(clock: Kit['clock']) {
    this.#clock = clock;
    this.#deadline = clock.now() + LIMIT_MS;
  }

  get isGone(): boolean {
    return this.#gone.signal.aborted;
  }

  listenTo(bus: CanBus): void {
    bus.onFrame((frame) => this.#hear(frame));
    bus.onTrouble((trouble) => {
      this.#troubles.add(trouble);
      if (trouble === 'gone' || trouble === 'down') this.#gone.abort();
    });
  }

  async untilSilence(signal?: AbortSignal): Promise<void> {
    await this.#sleep(this.#deadline - this.#clock.now(), [this.#began.signal], signal);
    do {
      while (!this.isGone && this.#leftMs() > 0) await this.#sleep(this.#leftMs(), [], signal);
      // A process that was held up runs its timers before it reads its sockets: what waits there is heard first.
      await this.#sleep(READ_MS, [], signal);
    } while (!this.isGone && this.#leftMs() > 0);
  }

  answers(): Answers {
    return {
      nodes: [...this.#nodes.values()],
      queries: this.#queries,
      malformed: this.#malformed,
      troubles: this.#troubles,
    };
  }

  #leftMs(): number {
    return Math.min(this.#deadline, this.#lastAt + SILENCE_MS) - this.#clock.now();
  }

  #hear(frame: CanFrame): void {
    const answer = readAnswer(frame);
    const isAsked = isQuery(frame);
    if (answer === 'foreign' && !isAsked) return;
    if (isAsked) this.#queries += 1;
    if (answer === 'malformed') this.#malformed += 1;
    if (typeof answer !== 'string') {
      const key = `${answer.uuid} ${answer.application}`;
      this.#nodes.set(key, { ...answer, times: (this.#nodes.get(key)?.times ?? 0) + 1 });
    }
    this.#lastAt = this.#clock.now();
    this.#began.abort();
  }

  /** Ends early when the interface goes, and with one of `ends`. Throws when `signal` is aborted. */
  async #sleep(ms: number, ends: readonly AbortSignal[], signal?: AbortSignal): Promise<void> {
    const all = [this.#gone.signal, ...ends, ...(signal === undefined ? [] : [signal])];
    await this.#clock.sleep(Math.max(0, ms), AbortSignal.any(all)).catch((error: unknown) => {
      if (signal?.aborted === true || !all.some(({ aborted }) => aborted)) throw error;
    });
  }
}

function isQuery({ id, data }: CanFrame): boolean {
  const query = queryUnassigned();
  return id === query.id && data.length === query.data.length && data[0] === query.data[0];
}
