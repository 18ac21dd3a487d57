// A CAN node that has an id, as a stream of bytes: what is written goes out in frames of up to eight bytes, what the node
// says comes back in whatever frames it makes (Klipper docs/CANBUS_protocol.md, "Data messages"; Katapult does the same).
import type { ByteChannel } from '../ports/bytes.ts';
import type { CanBus, CanFrame, CanTrouble } from '../ports/can.ts';
import { dataIds } from '../protocol/klipper-can.ts';
import { busOff, interfaceLeft, sendFrame } from './can-send.ts';
import type { Kit } from './kit.ts';

const FRAME_BYTES = 8;

/**
 * The bus is the channel's from now on: it is closed with it.
 * @param interfaceName for errors
 * Reading and writing throw `device-gone` when the interface goes, `no-device` when nothing can be sent.
 */
export function openCanChannel(
  kit: Pick<Kit, 'clock'>,
  bus: CanBus,
  nodeId: number,
  interfaceName = 'can0',
): ByteChannel {
  return new CanChannel(kit, bus, nodeId, interfaceName);
}

class CanChannel implements ByteChannel {
  readonly #clock: Kit['clock'];
  readonly #bus: CanBus;
  readonly #nodeId: number;
  readonly #name: string;
  readonly #unsubscribe: readonly (() => void)[];
  readonly #arrived: Uint8Array[] = [];
  #trouble: 'gone' | 'down' | 'bus-off' | undefined;
  #wake: () => void = () => {};

  constructor({ clock }: Pick<Kit, 'clock'>, bus: CanBus, nodeId: number, name: string) {
    [this.#clock, this.#bus, this.#nodeId, this.#name] = [clock, bus, nodeId, name];
    const { toHost } = dataIds(nodeId);
    this.#unsubscribe = [
      bus.onFrame(({ id, data }) => {
        if (id !== toHost || data.length === 0) return;
        this.#arrived.push(data);
        this.#wake();
      }),
      bus.onTrouble((trouble) => this.#hear(trouble)),
    ];
  }

  async write(bytes: Uint8Array): Promise<void> {
    const { toNode } = dataIds(this.#nodeId);
    for (let at = 0; at < bytes.length; at += FRAME_BYTES)
      await this.#send({ id: toNode, data: bytes.slice(at, at + FRAME_BYTES) });
  }

  async read(timeoutMs: number): Promise<Uint8Array | undefined> {
    if (this.#arrived.length === 0 && this.#trouble === undefined) {
      const ended = new AbortController();
      this.#wake = () => ended.abort();
      await this.#clock.sleep(timeoutMs, ended.signal).catch(() => {});
      this.#wake = () => {};
    }
    const first = this.#arrived.shift();
    if (first === undefined) this.#refuseTrouble();
    return first;
  }

  async close(): Promise<void> {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#wake();
    await this.#bus.close();
  }

  async #send(frame: CanFrame): Promise<void> {
    this.#refuseTrouble();
    await sendFrame({ clock: this.#clock }, this.#bus, frame, this.#name).catch((error: unknown) => {
      this.#refuseTrouble();
      throw error;
    });
  }

  #hear(trouble: CanTrouble): void {
    if (trouble !== 'gone' && trouble !== 'down' && trouble !== 'bus-off') return;
    this.#trouble ??= trouble;
    this.#wake();
  }

  #refuseTrouble(): void {
    if (this.#trouble === 'bus-off') throw busOff(this.#name);
    if (this.#trouble !== undefined) throw interfaceLeft(this.#name);
  }
}
