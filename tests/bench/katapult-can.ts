// Katapult over CAN: how long the host takes from the last frame of an acknowledgement to the first of the next block.
import { boardByName } from '../../src/boards/boards.ts';
import { planWrite, sectorsOf } from '../../src/firmware/plan.ts';
import { openCanChannel } from '../../src/flash/can-channel.ts';
import { openKatapultBootloader } from '../../src/flash/katapult-bootloader.ts';
import { systemClock } from '../../src/hardware/clock.ts';
import type { CanBus, CanFrame } from '../../src/ports/can.ts';
import { KatapultPeer } from '../support/katapult-peer.ts';

const APPLICATION = 0x08008000;
/** flashtool.py's node id 129. */
const NODE_ID = 0x81;
const TO_NODE = 0x202;
const TO_HOST = 0x203;

export interface CanGaps {
  readonly blocks: number;
  readonly meanMs: number;
  readonly medianMs: number;
  readonly longestMs: number;
}

/** A node that answers at once, each frame in a turn of the event loop of its own, as a socket brings them. */
class TimedBus implements CanBus {
  readonly gapsMs: number[] = [];
  readonly #peer: KatapultPeer;
  #listener: (frame: CanFrame) => void = () => {};
  #answeredAt: number | undefined;

  constructor(peer: KatapultPeer) {
    this.#peer = peer;
  }

  async send({ id, data }: CanFrame): Promise<'queued' | 'full'> {
    if (this.#answeredAt !== undefined) this.gapsMs.push(performance.now() - this.#answeredAt);
    this.#answeredAt = undefined;
    if (id === TO_NODE) for (const answer of this.#peer.receive(data)) this.#answer(answer);
    return 'queued';
  }

  #answer(bytes: Uint8Array): void {
    const next = (at: number): void => {
      const isLast = at + 8 >= bytes.length;
      if (isLast) this.#answeredAt = performance.now();
      this.#listener({ id: TO_HOST, data: bytes.slice(at, at + 8) });
      if (!isLast) setImmediate(() => next(at + 8));
    };
    setImmediate(() => next(0));
  }

  onFrame(listener: (frame: CanFrame) => void) {
    this.#listener = listener;
    return () => {};
  }

  onTrouble() {
    return () => {};
  }

  async close(): Promise<void> {}
}

export async function measureCanGaps(image: Uint8Array): Promise<CanGaps> {
  const bus = new TimedBus(new KatapultPeer({ uuid: 'ac11f42fe5aa' }));
  const kit = { clock: systemClock, recorder: { before: async () => {} } };
  const { mcu } = boardByName('octopus-v1.1-f446');
  const chip = await openKatapultBootloader(kit, openCanChannel(kit, bus, NODE_ID), {
    mcu,
    place: 'CAN node ac11f42fe5aa',
    uid: null,
    over: 'can',
    canUuid: 'ac11f42fe5aa',
  });
  const sectors = sectorsOf(mcu.sectors, APPLICATION, image.length);
  const target = { address: APPLICATION, bytes: image };
  const plan = planWrite(target, sectors, new Uint8Array(0), 64, mcu.programWordBytes, () => true);
  bus.gapsMs.length = 0;
  await chip.write(plan, { erasing: () => {}, writing: () => {} });
  await chip.close();
  const sorted = bus.gapsMs.toSorted((a, b) => a - b);
  return {
    blocks: sorted.length,
    meanMs: sorted.reduce((sum, gap) => sum + gap, 0) / sorted.length,
    medianMs: sorted[sorted.length >> 1] ?? Number.NaN,
    longestMs: sorted.at(-1) ?? Number.NaN,
  };
}
