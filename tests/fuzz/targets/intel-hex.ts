// Fuzz: Intel HEX. Records of real files, spoilt with their checksum and without: read exactly as a second reader reads them,
// one that adds up every line by itself; and what was written as HEX is read back.
import { readIntelHex } from '../../../src/firmware/intel-hex.ts';
import { hexRecord, intelHex } from '../../firmware/build-image.ts';
import { mutateBytes } from '../bytes.ts';
import type { Random } from '../random.ts';
import { answerOr, holds, target, type Fate } from '../target.ts';
import { mutateText } from '../text.ts';

interface Hex {
  readonly text: string;
  /** What it was made of, where nothing was spoilt. */
  readonly made: { readonly address: number; readonly bytes: Uint8Array } | undefined;
}
type Memory = ReadonlyMap<number, number>;

const WORDS = [
  ':',
  ':00000001FF',
  ':020000040800F2',
  ':0400000508000121CD',
  ':10',
  '00',
  'FF',
  ':020000021000EC',
];
const ADDRESSES = [0x0800_0000, 0x0800_8000, 0x0800_ffc0, 0x0802_0000, 0x1000_0100];

export const intelHexFiles = target<Hex>({
  name: 'intel-hex',
  show: ({ text }) => Buffer.from(text, 'latin1'),
  input: (random) => {
    const bytes = random.bytes(random.between(1, 120));
    const address = random.pick(ADDRESSES);
    const text = intelHex(bytes, address);
    if (random.oneIn(8)) return { text, made: { address, bytes } };
    if (random.oneIn(3)) return { text: mutateText(random, text, WORDS), made: undefined };
    return { text: respun(random, text), made: undefined };
  },
  check: ({ text, made }): Fate => {
    const file = Buffer.from(text, 'latin1');
    const expected = readAgain(file.toString('latin1'));
    const met = answerOr(['image-foreign', 'image-truncated'], () => readIntelHex(file, 'x.hex'));
    holds(
      'code' in met === (expected === undefined),
      `${'code' in met ? met.code : 'taken'} where a second reader is not of that mind`,
    );
    if ('code' in met || expected === undefined) return 'code' in met ? met.code : 'none';
    const cells = met.answer.flatMap(({ address, bytes }) =>
      [...bytes].map((byte, at) => [address + at, byte] as const),
    );
    // In the order of the file: where two lines speak of one byte both are there, and `flatten` refuses them.
    holds(JSON.stringify(cells) === JSON.stringify(expected), 'other data than stand there');
    if (made === undefined) return 'taken';
    const memory: Memory = new Map(cells);
    holds(memory.size === made.bytes.length, `${memory.size} bytes of ${made.bytes.length}`);
    for (const [at, byte] of made.bytes.entries())
      holds(memory.get(made.address + at) === byte, `another byte at ${at}`);
    return 'taken';
  },
  fates: ['taken', 'image-foreign', 'image-truncated'],
});

/** Some records with other contents; the checksum is that of the new contents half of the time. */
function respun(random: Random, text: string): string {
  const lines = text.split('\r\n').filter((line) => line !== '');
  for (let count = random.few(4); count > 0; count--) {
    const at = random.below(lines.length);
    const plain = Buffer.from((lines[at] ?? '').slice(1), 'hex');
    if (random.oneIn(2)) {
      const bytes = mutateBytes(random, plain, { most: 2 });
      lines[at] = `:${Buffer.from(bytes).toString('hex')}`;
    } else {
      const data = [...mutateBytes(random, plain.subarray(4, -1), { most: 2 })].slice(0, 255);
      const type = random.oneIn(2) ? (plain[3] ?? 0) : random.below(8);
      const offset = random.oneIn(2)
        ? 256 * (plain[1] ?? 0) + (plain[2] ?? 0)
        : random.pick([0, 1, 0xfff0, 0xffff]);
      lines[at] = hexRecord(type, offset, data);
    }
    if (random.oneIn(4))
      lines.splice(
        at,
        0,
        hexRecord(random.below(6), random.below(0x1_0000), [...random.bytes(random.below(5))]),
      );
    if (random.oneIn(6)) lines.splice(at, 1);
    if (lines.length === 0) lines.push('');
  }
  return lines.join(random.pick(['\r\n', '\n', '\r', '\n\n'])) + random.pick(['', '\n', '\r\n']);
}

/** Intel, "Hexadecimal Object File Format Specification", rev. A; undefined where it is none. */
function readAgain(text: string): (readonly [number, number])[] | undefined {
  const cells: (readonly [number, number])[] = [];
  let base = 0;
  let hasEnded = false;
  for (const raw of text.replaceAll('\r\n', '\n').replaceAll('\r', '\n').split('\n')) {
    const line = raw.trim();
    if (line === '') continue;
    if (hasEnded || line.charAt(0) !== ':' || line.length % 2 === 0 || line.length > 521) return undefined;
    const bytes: number[] = [];
    for (let at = 1; at < line.length; at += 2) {
      const [high, low] = [digit(line.charAt(at)), digit(line.charAt(at + 1))];
      if (high < 0 || low < 0) return undefined;
      bytes.push(16 * high + low);
    }
    const [count = -1, offsetHigh = 0, offsetLow = 0, type = -1] = bytes;
    const data = bytes.slice(4, -1);
    if (bytes.length < 5 || data.length !== count) return undefined;
    let sum = 0;
    for (const byte of bytes) sum = (sum + byte) & 0xff;
    const wanted = [count, 0, 2, 4, 2, 4][type];
    if (sum !== 0 || wanted === undefined || wanted !== count) return undefined;
    const [first = 0, second = 0] = data;
    if (type === 0)
      for (const [at, byte] of data.entries()) cells.push([base + 256 * offsetHigh + offsetLow + at, byte]);
    if (type === 1) hasEnded = true;
    if (type === 2) base = 16 * (256 * first + second);
    if (type === 4) base = 65_536 * (256 * first + second);
  }
  return hasEnded ? cells : undefined;
}

const digit = (letter: string) => '0123456789abcdef'.indexOf(letter.toLowerCase() || '?');
