// Fuzz: a serial device is asked which Klipper it runs. A Klipper behind a bad cable, one that talks of other things, and what
// is none at all: the talk ends, and the dictionary that it brings is the one that lies there.
import { SYNC, identify } from '../../../src/protocol/klipper-identify.ts';
import { join, sameBytes, spoiltMessage, type Spoil } from '../bytes.ts';
import { Random } from '../random.ts';
import { holds, refusalCode, target, type Fate } from '../target.ts';

interface Talk {
  readonly seed: number;
  readonly sizeBytes: number;
  /** One answer in so many is spoilt. */
  readonly oneIn: number;
  /** What it says unasked, at each read, for ever: a printer that still measures, or another program's text. */
  readonly chatter: 'none' | 'blocks' | 'text';
  /** Blocks that are sound and say anything. */
  readonly mayLie: boolean;
}

const SPOILS: readonly (Spoil | 'late')[] = ['lost', 'doubled', 'cut', 'flipped', 'late', 'rubbish'];
/** Ten questions at each of 13 places, and 4 KiB of chatter to each of them, nine bytes at a time. */
const MOST_STEPS = 60_000;
const CHUNK_BYTES = 40;

export const identifyTalk = target<Talk>({
  name: 'identify',
  show: (talk) => Buffer.from(JSON.stringify(talk)),
  input: (random) => ({
    seed: random.next(),
    sizeBytes: random.pick([0, 1, 39, 40, 41, 200, 500]),
    oneIn: random.pick([2, 5, 20, 60]),
    // Seldom: such a talk is a hundred times as long.
    chatter: random.oneIn(16) ? random.pick(['blocks', 'text']) : 'none',
    mayLie: random.oneIn(4),
  }),
  check: (talk): Fate => {
    const random = new Random(talk.seed);
    const mcu = new Mcu(random.bytes(talk.sizeBytes), random.below(16));
    try {
      const read = converse(talk, mcu, random);
      holds(talk.mayLie || sameBytes(read, mcu.dictionary), `${read.length} bytes, which do not lie there`);
      return talk.chatter === 'none' ? 'done' : `done in spite of ${talk.chatter}`;
    } catch (error) {
      return refusalCode(error, ['wrong-device']);
    }
  },
  fates: ['done', 'done in spite of blocks', 'done in spite of text', 'wrong-device'],
});

function converse({ oneIn, chatter, mayLie }: Talk, mcu: Mcu, random: Random): Uint8Array {
  let waiting: Uint8Array[] = [];
  let late: Uint8Array[] = [];
  const talk = identify();
  let step = talk.next();
  for (let steps = 0; step.done !== true; steps++) {
    holds(steps < MOST_STEPS, `the talk does not end: ${steps} steps`);
    const request = step.value;
    if (request.kind === 'write') {
      waiting.push(...late);
      late = [];
      for (const answer of mcu.receive(request.bytes)) {
        const said = mayLie && random.oneIn(8) ? lie(random) : answer;
        const how = random.oneIn(oneIn) ? random.pick(SPOILS) : undefined;
        if (how === 'late') late.push(said);
        else waiting.push(...(how === undefined ? [said] : spoiltMessage(random, said, how, 20)));
      }
      step = talk.next('ok');
      continue;
    }
    if (chatter !== 'none')
      waiting.push(chatter === 'text' ? TEXT : block(random.below(16), Uint8Array.of(77, 1, 2, 3)));
    if (waiting.length === 0) {
      step = talk.next(undefined);
      [waiting, late] = [late, []];
      continue;
    }
    step = talk.next(join(...waiting.splice(0, random.between(1, waiting.length))));
  }
  return step.value;
}
const TEXT = Uint8Array.from(Buffer.from('ok T:20.1 /0.0 B:19.9\n'));

/** docs/Protocol.md, from the other side, as far as `identify` goes. */
class Mcu {
  readonly dictionary: Uint8Array;
  #sequence: number;
  #received: number[] = [];

  constructor(dictionary: Uint8Array, sequence: number) {
    [this.dictionary, this.#sequence] = [dictionary, sequence];
  }

  receive(bytes: Uint8Array): Uint8Array[] {
    this.#received.push(...bytes.filter((byte) => this.#received.length > 0 || byte !== SYNC));
    const answers: Uint8Array[] = [];
    const [length = 0, sequence = 0] = this.#received;
    if (this.#received.length < length) return answers;
    const content = this.#received.splice(0).slice(2, length - 3);
    // Another number than it wants: it says which, and does nothing.
    if ((sequence & 0x0f) !== this.#sequence) return [block(this.#sequence, new Uint8Array(0))];
    this.#sequence = (this.#sequence + 1) & 0x0f;
    const offset = offsetIn(content.slice(1));
    const chunk = this.dictionary.slice(offset, offset + CHUNK_BYTES);
    answers.push(block(this.#sequence, Uint8Array.of(0, ...content.slice(1, -1), chunk.length, ...chunk)));
    return [...answers, block(this.#sequence, new Uint8Array(0))];
  }
}

/** The number that an `identify` asks from: seven bits a byte, high first, behind it the count. */
function offsetIn(content: readonly number[]): number {
  let value = 0;
  for (const [at, byte] of content.slice(0, -1).entries()) {
    const isNegative = at === 0 && (byte & 0x60) === 0x60;
    value = value * 128 + (byte & 0x7f) - (isNegative ? 128 : 0);
  }
  return value;
}

/** A block with a right checksum and no sense, or with numbers that are out of all bounds. */
function lie(random: Random): Uint8Array {
  const content = random.oneIn(2)
    ? random.bytes(random.below(50))
    : Uint8Array.of(
        0,
        ...random.bytes(random.below(3)),
        random.pick([0, 0x60, 0x7f, 0x5f, 0xff]),
        ...random.bytes(random.below(40)),
      );
  return block(random.below(16), content);
}

function block(sequence: number, content: Uint8Array): Uint8Array {
  const bytes = Uint8Array.of(content.length + 5, 0x10 | sequence, ...content);
  let crc = 0xffff;
  for (const byte of bytes) {
    let data = byte ^ (crc & 0xff);
    data = (data ^ (data << 4)) & 0xff;
    // docs/Protocol.md has it from klippy/chelper/msgblock.c: the same CRC, a byte at a time.
    crc = ((data << 8) | (crc >> 8)) ^ (data >> 4) ^ (data << 3);
  }
  return Uint8Array.of(...bytes, (crc >> 8) & 0xff, crc & 0xff, SYNC);
}
