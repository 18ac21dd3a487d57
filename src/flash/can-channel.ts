// A CAN node that has an id, as a stream of bytes: what is written goes out in frames of up to eight bytes, what the node
// says comes back in whatever frames it makes (Klipper docs/CANBUS_protocol.md, "Data messages"; Katapult does the same).
import { OctopusError } from '../errors.ts';
import type { ByteChannel } from '../ports/bytes.ts';
import type { CanBus, CanFrame, CanTrouble } from '../ports/can.ts';
import { dataIds } from '../protocol/klipper-can.ts';
import type { Kit } from './kit.ts';

const FRAME_BYTES = 8;
/** The longest classic frame on a bus of 1 Mbit/s, stuffed: then a full queue has room for one more. */
const FRAME_MS = 0.135;
/** No growing wait is longer: the slowest bus that Klipper builds for has 125 kbit/s. */
const LONGEST_WAIT_MS = 20;
/** A queue of 128 frames at 125 kbit/s is empty after 140 ms, beside a bus that others fill up. */
const FULL_FOR_MS = 1_000;

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

  /** A frame that is left out makes the receiver lose its place for ever, so the same one is sent until it is taken. */
  async #send(frame: CanFrame): Promise<void> {
    const until = this.#clock.now() + FULL_FOR_MS;
    for (let waitMs = FRAME_MS; ; waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)) {
      this.#refuseTrouble();
      if ((await this.#bus.send(frame).catch((error: unknown) => this.#lost(error))) === 'queued') return;
      if (this.#clock.now() >= until) throw queueFull(this.#name, this.#nodeId);
      await this.#clock.sleep(waitMs);
    }
  }

  #hear(trouble: CanTrouble): void {
    if (trouble !== 'gone' && trouble !== 'down' && trouble !== 'bus-off') return;
    this.#trouble ??= trouble;
    this.#wake();
  }

  /** The interface tells its end to listeners and senders in either order. */
  #lost(error: unknown): never {
    this.#refuseTrouble();
    throw error instanceof OctopusError && error.code === 'no-device'
      ? interfaceLeft(this.#name, error)
      : error;
  }

  #refuseTrouble(): void {
    if (this.#trouble === 'bus-off') throw busOff(this.#name);
    if (this.#trouble !== undefined) throw interfaceLeft(this.#name);
  }
}

function interfaceLeft(name: string, cause?: OctopusError): OctopusError {
  return new OctopusError('device-gone', `${name} went away`, {
    place: name,
    advice:
      'A bridge takes its interface with it when it is reset: look at its power and cable, then try again.',
    cause,
  });
}

function queueFull(name: string, nodeId: number): OctopusError {
  return new OctopusError('no-device', `the transmit queue of ${name} stays full (node id ${nodeId})`, {
    place: name,
    advice:
      'Nobody on the bus acknowledges: look at the wires, the two terminating resistors, the power of the nodes and ' +
      `the bitrate, then set the interface down and up again (sudo ip link set ${name} down).`,
  });
}

function busOff(name: string): OctopusError {
  return new OctopusError('no-device', `${name} has left the bus after too many errors (bus-off)`, {
    place: name,
    advice:
      'Look at the wires, the two terminating resistors and the bitrate of all nodes, then set the interface down and up ' +
      `again (sudo ip link set ${name} down; sudo ip link set ${name} up type can bitrate 1000000).`,
  });
}
