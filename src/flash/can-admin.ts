// One node on a CAN bus, by its uuid: asks for it, hears its answers to the admin query, gives it orders.
import { OctopusError } from '../errors.ts';
import type { CanBus, CanFrame } from '../ports/can.ts';
import { queryUnassigned, readAnswer, type CanApplication } from '../protocol/klipper-can.ts';
import { busOff, interfaceLeft, sendFrame } from './can-send.ts';
import type { Kit } from './kit.ts';
import type { CanPlace } from './place.ts';

/** A node answers within a millisecond; a bus under load takes longer. */
export const ANSWER_MS = 50;

/** A node says `application` when it has no id; one that has an id is silent. */
export class CanAdmin {
  readonly address: CanPlace;
  readonly #kit: Pick<Kit, 'clock'>;
  readonly #bus: CanBus;
  readonly #signal: AbortSignal | undefined;
  readonly #unsubscribe: readonly (() => void)[];
  #heard: CanApplication[] = [];
  #trouble: 'gone' | 'down' | 'bus-off' | undefined;
  #wake: () => void = () => {};

  constructor(kit: Pick<Kit, 'clock'>, bus: CanBus, address: CanPlace, signal?: AbortSignal) {
    [this.#kit, this.#bus, this.address, this.#signal] = [kit, bus, address, signal];
    this.#unsubscribe = [
      bus.onFrame((frame) => {
        const answer = readAnswer(frame);
        if (typeof answer === 'string' || answer.uuid !== address.uuid) return;
        this.#heard.push(answer.application);
        this.#wake();
      }),
      bus.onTrouble((trouble) => {
        if (trouble !== 'gone' && trouble !== 'down' && trouble !== 'bus-off') return;
        this.#trouble ??= trouble;
        this.#wake();
      }),
    ];
  }

  /** Hears nothing more; the bus stays open. */
  stop(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  /** Throws `no-device`, `device-gone`, and when the job is cancelled. */
  async send(frame: CanFrame): Promise<void> {
    this.#signal?.throwIfAborted();
    this.#refuseTrouble();
    await sendFrame(this.#kit, this.#bus, frame, this.address.interfaceName, this.#signal);
  }

  /** Asks once; its next answer, or undefined after `forMs`. */
  async ask(forMs: number): Promise<CanApplication | undefined> {
    this.#heard = [];
    await this.send(queryUnassigned());
    await this.#listen(forMs, () => this.#heard.length > 0);
    return this.#heard.at(-1);
  }

  /**
   * Asks and hears for the whole of `forMs`. Throws `two-boards-alike` where more than one answers to the uuid, and does so
   * again: a frame whose acknowledgement was missed is sent twice (Bosch CAN 2.0, part A, 7). Two that say the same in the
   * same microsecond are one frame on the wire, and cannot be told apart.
   */
  async askAlone(forMs: number): Promise<CanApplication | undefined> {
    for (let attempt = 1; ; attempt++) {
      this.#heard = [];
      await this.send(queryUnassigned());
      await this.#listen(forMs, () => false);
      if (this.#heard.length <= 1) return this.#heard[0];
      if (attempt === 2) throw twoAlike(this.address);
    }
  }

  /** Throws as `ask` does. */
  async pause(ms: number): Promise<void> {
    await this.#listen(ms, () => false);
  }

  async #listen(forMs: number, isHeard: () => boolean): Promise<void> {
    const ended = new AbortController();
    this.#wake = () => {
      if (isHeard() || this.#trouble !== undefined) ended.abort();
    };
    this.#wake();
    const either = this.#signal === undefined ? ended.signal : AbortSignal.any([ended.signal, this.#signal]);
    await this.#kit.clock.sleep(forMs, either).catch(() => {});
    this.#wake = () => {};
    this.#signal?.throwIfAborted();
    this.#refuseTrouble();
  }

  #refuseTrouble(): void {
    const { interfaceName } = this.address;
    if (this.#trouble === 'bus-off') throw busOff(interfaceName);
    if (this.#trouble !== undefined) throw interfaceLeft(interfaceName);
  }
}

function twoAlike({ interfaceName, uuid }: CanPlace): OctopusError {
  return new OctopusError('two-boards-alike', `two nodes on ${interfaceName} answer as ${uuid}`, {
    place: `CAN node ${uuid}`,
    advice:
      'Take one of them off the bus: their chips have the same id, and no message can be for one of them alone.',
  });
}
