// Against a dozen-line MCU written here from Klipper's docs/Protocol.md; the virtual board has one of its own.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { crc16 } from '../../src/protocol/crc16.ts';
import { decodeVlq, encodeBlock, encodeVlq, identify } from '../../src/protocol/klipper-identify.ts';

test('CRC-16/MCRF4XX: the catalogue check value', () => {
  expect(crc16(new TextEncoder().encode('123456789'))).toBe(0x6f91);
});

describe('variable length quantities', () => {
  // docs/Protocol.md: bytes by range.
  test.each([
    [-32, 1],
    [95, 1],
    [96, 2],
    [-33, 2],
    [-4096, 2],
    [12287, 2],
    [12288, 3],
    [1572863, 3],
    [1572864, 4],
    [201326591, 4],
    [201326592, 5],
    [4294967295, 5],
    [-2147483648, 5],
  ])('%d takes %d bytes and comes back', (value, length) => {
    const bytes = Uint8Array.from(encodeVlq(value));
    expect(bytes).toHaveLength(length);
    expect(decodeVlq(bytes, 0)).toEqual({ value, next: length });
  });

  test('cut or endless ones are no number', () => {
    expect(decodeVlq(Uint8Array.of(), 0)).toBeUndefined();
    expect(decodeVlq(Uint8Array.of(0x81), 0)).toBeUndefined();
    expect(decodeVlq(new Uint8Array(9).fill(0x81), 0)).toBeUndefined();
  });
});

interface McuQuirks {
  /** The sequence number the MCU wants first. */
  readonly sequence?: number;
  /** Silence for so many messages. */
  readonly deafFor?: number;
  /** Bytes before each answer. */
  readonly noise?: Uint8Array;
  readonly chunkBytes?: number;
  /** Sends its last reply once more before each new one. */
  readonly repeats?: boolean;
}

function talkToMcu(dictionary: Uint8Array, quirks: McuQuirks = {}): Uint8Array {
  let sequence = quirks.sequence ?? 0;
  let deaf = quirks.deafFor ?? 0;
  let out: number[] = [];
  let last: number[] = [];
  const core = identify();
  let step = core.next();
  for (let turns = 0; step.done !== true; turns++) {
    if (turns > 100_000) throw new Error('the core never ends');
    const request = step.value;
    if (request.kind === 'read') {
      const chunk = out.splice(0, quirks.chunkBytes ?? out.length);
      step = core.next(chunk.length === 0 ? undefined : Uint8Array.from(chunk));
      continue;
    }
    const bytes = request.bytes;
    if (bytes.length >= 5 && deaf-- <= 0) {
      out.push(...(quirks.noise ?? []));
      if (quirks.repeats === true) out.push(...last);
      const wanted = ((bytes[1] ?? 0) & 0x0f) === sequence;
      if (wanted) sequence = (sequence + 1) & 0x0f;
      const offset = decodeVlq(bytes, 3)?.value ?? 0;
      const data = dictionary.subarray(offset, offset + 40);
      const content = [...encodeVlq(0), ...encodeVlq(offset), ...encodeVlq(data.length), ...data];
      if (wanted) last = [...encodeBlock(sequence, Uint8Array.from(content))];
      if (wanted) out.push(...last);
      out.push(...encodeBlock(sequence, new Uint8Array(0)));
    }
    step = core.next('ok');
  }
  return step.value;
}

describe('identify', () => {
  const dictionary = Uint8Array.from({ length: 3900 }, (_, index) => (index * 7) & 0xff);

  test('the first block, byte for byte: identify offset=0 count=40', () => {
    const core = identify();
    core.next();
    const { value } = core.next('ok');
    const head = [8, 0x10, 1, 0, 40];
    const crc = crc16(Uint8Array.from(head));
    expect(value).toEqual({ kind: 'write', bytes: Uint8Array.of(...head, crc >> 8, crc & 0xff, 0x7e) });
  });

  test.each<[string, McuQuirks]>([
    ['a fresh MCU', {}],
    ['an MCU in the middle of its sequence', { sequence: 11 }],
    ['two lost messages', { deafFor: 2 }],
    ['rubbish before each answer', { noise: Uint8Array.of(0x00, 0x7e, 0x42, 0x05) }],
    ['answers byte by byte', { chunkBytes: 1 }],
    ['each reply once more before the next', { repeats: true }],
    ['answers in threes', { chunkBytes: 3, sequence: 3 }],
  ])('%s', (_story, quirks) => {
    expect(talkToMcu(dictionary, quirks)).toEqual(dictionary);
  });

  test('silence is wrong-device, not for ever', () => {
    expect(() => talkToMcu(dictionary, { deafFor: Infinity })).toThrow(
      expect.objectContaining({ code: 'wrong-device' }),
    );
  });

  test('a device that talks of other things without a pause is not listened to for ever', () => {
    const core = identify();
    let step = core.next();
    let [heardBytes, questions] = [0, 0];
    const line = new TextEncoder().encode('ok T:20.1 /0.0 B:19.9\n');
    expect(() => {
      while (step.done !== true) {
        const isRead = step.value.kind === 'read';
        if (isRead) heardBytes += line.length;
        else questions += 1;
        step = core.next(isRead ? line : 'ok');
      }
    }).toThrow(expect.objectContaining({ code: 'wrong-device' }));
    // A sync byte, and ten questions.
    expect(questions).toBe(11);
    expect(heardBytes).toBeLessThan(11 * 4096 + 1000);
  });

  test('a reply that claims less than no bytes is none: it would be the end of the dictionary', () => {
    const core = identify();
    core.next();
    core.next('ok');
    core.next('ok');
    const reply = (length: readonly number[]) => encodeBlock(1, Uint8Array.of(0, 0, ...length));
    expect(core.next(reply([0x7f]))).toMatchObject({ done: false, value: { kind: 'read' } });
    expect(core.next(reply([0]))).toMatchObject({ done: true, value: new Uint8Array(0) });
  });

  test('noise never throws anything else', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 70 }), { maxLength: 40 }), (chunks) => {
        const core = identify();
        const left = [...chunks];
        try {
          let step = core.next();
          while (step.done !== true) step = core.next(step.value.kind === 'write' ? 'ok' : left.shift());
        } catch (error) {
          expect((error as { code: string }).code).toBe('wrong-device');
        }
      }),
    );
  });
});
