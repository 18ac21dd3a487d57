// Runs Katapult cores against a peer, with faults on the way there and back, and counts how many frames are under way.
import type { KatapultRequest, KatapultTalk } from '../../src/protocol/katapult/talk.ts';
import type { KatapultPeer } from '../support/katapult-peer.ts';

export type Fault = 'lost' | 'doubled' | 'cut' | 'corrupted';
export const FAULTS: readonly Fault[] = ['lost', 'doubled', 'cut', 'corrupted'];

/** What a fault makes of one frame. */
export function spoil(bytes: Uint8Array, fault: Fault | undefined, at = bytes.length - 5): Uint8Array {
  switch (fault) {
    case undefined:
      return bytes;
    case 'lost':
      return new Uint8Array(0);
    case 'doubled':
      return Uint8Array.of(...bytes, ...bytes);
    case 'cut':
      return bytes.slice(0, at);
    case 'corrupted':
      return bytes.map((byte, index) => (index === at ? byte ^ 0x40 : byte));
  }
}

export interface Talked<R> {
  readonly result: R;
  readonly asked: readonly KatapultRequest[];
  /** The most frames that were sent and not answered at a time. */
  readonly mostUnderWay: number;
  /** Spent in silence. */
  readonly waitedMs: number;
}

export interface Faults {
  readonly onWrite?: (n: number, bytes: Uint8Array) => Uint8Array;
  readonly onAnswer?: (n: number, bytes: Uint8Array) => Uint8Array;
  /** How many answers one read brings at most. Default: one. */
  readonly answersPerRead?: number;
}

export function talkTo<R>(peer: KatapultPeer, core: KatapultTalk<R>, faults: Faults = {}): Talked<R> {
  const asked: KatapultRequest[] = [];
  const waiting: Uint8Array[] = [];
  let [writes, answers, underWay, mostUnderWay, waitedMs] = [0, 0, 0, 0, 0];
  const perform = (request: KatapultRequest): Uint8Array | 'ok' | undefined => {
    if (request.kind === 'progress') return 'ok';
    if (request.kind === 'write') {
      mostUnderWay = Math.max(mostUnderWay, ++underWay);
      const bytes = faults.onWrite?.(writes++, request.bytes) ?? request.bytes;
      for (const answer of peer.receive(bytes)) {
        const spoilt = faults.onAnswer?.(answers++, answer) ?? answer;
        if (spoilt.length > 0) waiting.push(spoilt);
      }
      return 'ok';
    }
    const arrived = waiting.splice(0, faults.answersPerRead ?? 1);
    underWay = Math.max(0, underWay - arrived.length);
    if (arrived.length > 0) return Uint8Array.from(arrived.flatMap((bytes) => [...bytes]));
    underWay = 0;
    waitedMs += request.timeoutMs;
    return undefined;
  };
  let step = core.next();
  while (step.done !== true) {
    asked.push(step.value);
    if (asked.length > 100_000) throw new Error('the core never ends');
    step = core.next(perform(step.value));
  }
  return { result: step.value, asked, mostUnderWay, waitedMs };
}
