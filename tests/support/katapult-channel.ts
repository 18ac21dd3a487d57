// A Katapult peer behind a byte channel, with a fault at one write or one answer.
import type { ByteChannel } from '../../src/ports/bytes.ts';
import type { Clock } from '../../src/ports/clock.ts';
import { OctopusError } from '../../src/errors.ts';
import { spoil, type Fault } from '../protocol/katapult-talk.ts';
import type { KatapultPeer } from './katapult-peer.ts';

export class PeerChannel implements ByteChannel {
  readonly peer: KatapultPeer;
  readonly #clock: Clock;
  readonly #waiting: Uint8Array[] = [];
  writes = 0;
  answers = 0;
  isClosed = false;
  /** The device is unplugged, or has reset itself after its last answer. */
  isGone = false;
  faultAt: { readonly what: 'write' | 'answer'; readonly n: number; readonly fault: Fault } | undefined;
  /** Before each write: `gone` pulls the plug. */
  beforeWrite: (n: number) => void = () => {};

  constructor(peer: KatapultPeer, clock: Clock) {
    [this.peer, this.#clock] = [peer, clock];
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.isClosed) throw new Error('used after close');
    this.beforeWrite(this.writes);
    if (this.isGone) throw gone();
    for (const answer of this.peer.receive(spoil(bytes, this.#faultOf('write', this.writes++)))) {
      const spoilt = spoil(answer, this.#faultOf('answer', this.answers++));
      if (spoilt.length > 0) this.#waiting.push(spoilt);
    }
  }

  async read(timeoutMs: number): Promise<Uint8Array | undefined> {
    if (this.isClosed) throw new Error('used after close');
    const next = this.#waiting.shift();
    if (next !== undefined) return next;
    if (this.isGone || this.peer.isBooted) throw gone();
    await this.#clock.sleep(timeoutMs);
    return undefined;
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  #faultOf(what: 'write' | 'answer', n: number): Fault | undefined {
    return this.faultAt?.what === what && this.faultAt.n === n ? this.faultAt.fault : undefined;
  }
}

function gone(): OctopusError {
  return new OctopusError('device-gone', 'the device is gone', { advice: 'Check the cable.' });
}
