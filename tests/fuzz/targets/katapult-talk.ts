// Fuzz: whole talks with a Katapult, whose answers and commands are spoilt on the way as a cable spoils them. A talk ends,
// in an answer or in an error that says what to do; what was read is what lies there, what was written lies there.
import { complete, connect, getCanbusId, sendEof } from '../../../src/protocol/katapult/commands.ts';
import { readBlocks, writePage } from '../../../src/protocol/katapult/memory.ts';
import { KatapultLink, type KatapultTalk } from '../../../src/protocol/katapult/talk.ts';
import { KatapultPeer } from '../../support/katapult-peer.ts';
import { join, sameBytes, spoiltMessage, type Spoil } from '../bytes.ts';
import { Random } from '../random.ts';
import { holds, refusalCode, target, type Fate } from '../target.ts';

/** What becomes of one message; at most three bits are wrong in it, which its CRC always sees. */
type Mishap = Spoil | 'late';
const ANSWERS: readonly Mishap[] = ['lost', 'doubled', 'cut', 'flipped', 'late', 'rubbish'];
const COMMANDS: readonly Mishap[] = ['lost', 'cut', 'flipped', 'rubbish'];

interface Talk {
  readonly kind: 'connect' | 'read' | 'write' | 'uuid' | 'end' | 'start';
  readonly over: 'usb' | 'can';
  readonly blocks: number;
  /** For the chance of each message. */
  readonly seed: number;
  /** One message in so many is spoilt. */
  readonly oneIn: number;
}

const BASE = 0x0800_0000;
const APPLICATION = 0x0800_0400;
const PAGE_BYTES = 1024;
const BLOCK_BYTES = 64;
const CODES = ['katapult-wedged', 'verify-failed', 'flash-unreadable', 'wrong-device'] as const;
/** Questions and answers: the longest sound talk here has some fifty. */
const MOST_STEPS = 60_000;

export const katapultTalk = target<Talk>({
  name: 'katapult-talk',
  show: (talk) => new TextEncoder().encode(JSON.stringify(talk)),
  input: (random) => ({
    kind: random.pick(['connect', 'read', 'read', 'write', 'write', 'uuid', 'end', 'start']),
    over: random.pick(['usb', 'can']),
    blocks: random.between(1, 12),
    seed: random.next(),
    oneIn: random.pick([3, 8, 20, 20, 60]),
  }),
  check: (talk): Fate => {
    const random = new Random(talk.seed);
    const peer = new KatapultPeer({
      flashBase: BASE,
      flashBytes: APPLICATION - BASE + PAGE_BYTES,
      applicationAddress: APPLICATION,
      pageBytes: () => PAGE_BYTES,
      uuid: '0011223344ff',
    });
    peer.flash.set(random.bytes(random.below(PAGE_BYTES)), APPLICATION - BASE);
    try {
      carryOut(talk, peer, random);
    } catch (error) {
      const code = refusalCode(error, CODES);
      holds(code !== 'wrong-device', 'a greeting with a right checksum was not understood');
      return code;
    }
    holds(peer.offences.length === 0, peer.offences.join('; '));
    return 'done';
  },
  fates: ['done', 'katapult-wedged'],
});

function carryOut({ kind, over, blocks, oneIn }: Talk, peer: KatapultPeer, random: Random): void {
  const link = new KatapultLink(over, 'here');
  const run = <R>(talk: KatapultTalk<R>): R => converse(talk, peer, random, oneIn);
  switch (kind) {
    case 'connect': {
      const greeting = run(connect(link));
      holds(
        greeting.mcu === 'stm32f446xx' &&
          greeting.version === 'v0.0.1-109-g902f335' &&
          greeting.applicationAddress === APPLICATION &&
          greeting.blockBytes === BLOCK_BYTES,
        `greeted as ${JSON.stringify(greeting)}`,
      );
      return;
    }
    case 'read': {
      const length = blocks * BLOCK_BYTES;
      const read = run(
        readBlocks(link, APPLICATION, length, { blockBytes: BLOCK_BYTES, mayHang: random.oneIn(2) }),
      );
      holds(sameBytes(read, peer.at(APPLICATION, length)), 'what was read does not lie there');
      return;
    }
    case 'write': {
      const bytes = random.bytes(blocks * BLOCK_BYTES);
      const requests = Array.from({ length: blocks }, (_, n) => ({
        address: APPLICATION + n * BLOCK_BYTES,
        bytes: bytes.slice(n * BLOCK_BYTES, (n + 1) * BLOCK_BYTES),
      }));
      run(writePage(link, requests));
      holds(sameBytes(bytes, peer.at(APPLICATION, bytes.length)), 'what was written does not lie there');
      return;
    }
    case 'uuid':
      holds(run(getCanbusId(link)) === '0011223344ff', 'another uuid than it has');
      return;
    case 'end':
      run(sendEof(link));
      return;
    case 'start':
      run(complete(link));
  }
}

function converse<R>(talk: KatapultTalk<R>, peer: KatapultPeer, random: Random, oneIn: number): R {
  let waiting: Uint8Array[] = [];
  let late: Uint8Array[] = [];
  const perform = (bytes: Uint8Array): void => {
    const [out] = spoilt(random, bytes, oneIn, COMMANDS) ?? [];
    const answers = out === undefined ? [] : peer.receive(out);
    waiting.push(...late);
    late = [];
    for (const answer of answers) {
      const pieces = spoilt(random, answer, oneIn, ANSWERS);
      if (pieces === undefined) late.push(answer);
      else waiting.push(...pieces);
    }
  };
  let step = talk.next();
  for (let steps = 0; step.done !== true; steps++) {
    holds(steps < MOST_STEPS, `the talk does not end: ${steps} steps`);
    const request = step.value;
    if (request.kind === 'write') perform(request.bytes);
    if (request.kind !== 'read') {
      step = talk.next('ok');
      continue;
    }
    if (waiting.length === 0) {
      step = talk.next(undefined);
      // A silence is long enough for what was late.
      [waiting, late] = [late, []];
      continue;
    }
    const count = random.between(1, waiting.length);
    step = talk.next(join(...waiting.splice(0, count)));
  }
  return step.value;
}

/** Undefined for what comes later. */
function spoilt(
  random: Random,
  bytes: Uint8Array,
  oneIn: number,
  among: readonly Mishap[],
): Uint8Array[] | undefined {
  if (!random.oneIn(oneIn)) return [bytes];
  const how = random.pick(among);
  return how === 'late' ? undefined : spoiltMessage(random, bytes, how, 40);
}
