// Fuzz: the decoder of Katapult's answers. A stream of real frames, spoilt, in any pieces: it must find what a second
// reader finds, one that is written from the document alone and sees the whole stream at once.
import { AnswerDecoder, encodeFrame, word, type Answer } from '../../../src/protocol/katapult/frame.ts';
import { cut, join, mutateBytes } from '../bytes.ts';
import type { Random } from '../random.ts';
import { holds, target, type Fate } from '../target.ts';

interface Stream {
  readonly pieces: readonly Uint8Array[];
}

const ascii = (text: string) => Uint8Array.from(Buffer.from(text, 'latin1'));
const ACK = 0xa0;
/** What a Katapult says in a flash, and what else a line may carry: our own frames back, and AT from ModemManager. */
const SAID: readonly ((random: Random) => Uint8Array)[] = [
  () =>
    encodeFrame(
      ACK,
      join(word(0x11), word(0x0001_0100), word(0x0800_8000), word(64), ascii('stm32f446xx\0')),
    ),
  (random) => encodeFrame(ACK, join(word(0x12), word(0x0800_8000 + 64 * random.below(512)))),
  (random) =>
    encodeFrame(ACK, join(word(0x14), word(0x0800_8000 + 64 * random.below(512)), random.bytes(64))),
  (random) => encodeFrame(ACK, join(word(0x13), word(random.below(9)))),
  () => encodeFrame(ACK, word(0x15)),
  (random) => encodeFrame(ACK, join(word(0x16), random.bytes(8))),
  () => encodeFrame(0xf1),
  () => encodeFrame(0xf2),
  () => encodeFrame(0xf3),
  (random) => encodeFrame(0x12, join(word(0x0800_8000), random.bytes(64))),
  () => ascii('AT\r\n'),
  () => Uint8Array.of(0x01, 0x88, 0xa0, 0x1e),
];

export const katapult = target<Stream>({
  name: 'katapult',
  show: ({ pieces }) => join(...pieces),
  input: (random) => {
    const frames = Array.from({ length: random.few(8) }, () => {
      const frame = random.pick(SAID)(random);
      const spoilt = random.oneIn(2) ? mutateBytes(random, frame, { most: 3 }) : frame;
      // Half of what is spoilt has a right checksum all the same: it comes past the first check.
      return random.oneIn(2) && spoilt.length >= 8 ? sealed(spoilt) : spoilt;
    });
    const stream = random.oneIn(4) ? mutateBytes(random, join(...frames)) : join(...frames);
    return { pieces: cut(random, stream) };
  },
  check: ({ pieces }): Fate => {
    const decoder = new AnswerDecoder();
    const found = pieces.flatMap((piece) => decoder.push(piece));
    found.push(...decoder.flush());
    const expected = read(join(...pieces));
    holds(
      found.length === expected.length && found.every((one, at) => isSame(one, expected[at])),
      `found ${describe(found)}, there is ${describe(expected)}`,
    );
    return expected.length === 0 ? 'nothing in it' : 'answers';
  },
  fates: ['nothing in it', 'answers'],
});

/** With the checksum and the trailer that the length byte asks for, where there is room. */
function sealed(frame: Uint8Array): Uint8Array {
  const bytes = frame.slice();
  const end = Math.min(4 + 4 * (bytes[3] ?? 0), bytes.length - 4);
  const crc = crcOf(bytes.subarray(2, end));
  bytes.set([crc & 0xff, crc >> 8, 0x99, 0x03], end);
  return bytes;
}

/** protocol.md: 0x01 0x88, command, words, payload, CRC low and high, 0x99 0x03; at most 128 bytes. */
function read(stream: Uint8Array): Answer[] {
  const answers: Answer[] = [];
  for (let at = 0; at < stream.length;) {
    const length = 8 + 4 * (stream[at + 3] ?? 255);
    const isWhole =
      stream[at] === 0x01 &&
      stream[at + 1] === 0x88 &&
      length <= 128 &&
      at + length <= stream.length &&
      stream[at + length - 2] === 0x99 &&
      stream[at + length - 1] === 0x03 &&
      crcOf(stream.subarray(at + 2, at + length - 4)) ===
        (stream[at + length - 4] ?? 0) + 256 * (stream[at + length - 3] ?? 0);
    if (!isWhole) {
      at += 1;
      continue;
    }
    const payload = stream.slice(at + 4, at + length - 4);
    const kind = stream[at + 2];
    if (kind === 0xf1) answers.push({ kind: 'nack' });
    if (kind === 0xf2) answers.push({ kind: 'error' });
    if (kind === 0xf3) answers.push({ kind: 'busy' });
    if (kind === ACK && payload.length >= 4)
      answers.push({
        kind: 'ack',
        command: new DataView(payload.buffer).getUint32(0, true),
        body: payload.slice(4),
      });
    at += length;
  }
  return answers;
}

/** CRC-16/MCRF4XX by its table (CRC RevEng catalogue: 0x8408 reflected, from 0xffff). */
const TABLE = Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value % 2 === 1 ? (value >> 1) ^ 0x8408 : value >> 1;
  return value;
});
function crcOf(bytes: Uint8Array): number {
  return bytes.reduce((crc, byte) => (crc >> 8) ^ (TABLE[(crc ^ byte) & 0xff] ?? 0), 0xffff);
}

function isSame(one: Answer, other: Answer | undefined): boolean {
  if (one.kind !== 'ack' || other?.kind !== 'ack') return one.kind === other?.kind;
  return one.command === other.command && Buffer.compare(one.body, other.body) === 0;
}

const describe = (answers: readonly Answer[]) => answers.map(({ kind }) => kind).join(' ') || 'nothing';
