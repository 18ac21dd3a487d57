// Framing on the Unix socket: whatever way the bytes are cut, the same messages come out.
import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { Deframer, frame } from '../../src/moonraker/framing.ts';
import { HEAD_BYTES } from '../../src/moonraker/wire.ts';

/** Cuts `bytes` at the given places, some of them equal: empty chunks. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const edges = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
}

test('messages split and joined arbitrarily come out whole, in order, whatever they hold', () => {
  fc.assert(
    fc.property(
      fc.array(fc.json({ maxDepth: 2 }), { maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 40 }),
      (texts, places) => {
        const deframer = new Deframer(1 << 20);
        const frames = cut(Buffer.concat(texts.map(frame)), places).flatMap((chunk) => deframer.push(chunk));
        expect(frames).toEqual(texts.map((text) => ({ kind: 'message', text })));
      },
    ),
  );
});

test('letters of several bytes survive a cut in their middle', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.array(fc.nat(), { maxLength: 20 }), (word, places) => {
      const text = JSON.stringify({ word: word.toWellFormed() });
      const deframer = new Deframer(1 << 20);
      expect(cut(frame(text), places).flatMap((chunk) => deframer.push(chunk))).toEqual([
        { kind: 'message', text },
      ]);
    }),
  );
});

test('any bytes at all are cut at 0x03 and at nothing else', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }), (chunks) => {
      const deframer = new Deframer(1 << 20);
      const frames = chunks.flatMap((chunk) => deframer.push(Buffer.from(chunk)));
      const whole = Buffer.concat(chunks.map((chunk) => Buffer.from(chunk)));
      expect(frames).toHaveLength(whole.filter((byte) => byte === 0x03).length);
    }),
  );
});

test('a message that is too long is told with its head and size, and the next ones come as ever', () => {
  fc.assert(
    fc.property(fc.nat({ max: 300 }), fc.array(fc.nat(), { maxLength: 10 }), (length, places) => {
      const deframer = new Deframer(100);
      const long = 'x'.repeat(length);
      const frames = cut(Buffer.concat([frame(long), frame('next')]), places).flatMap((c) =>
        deframer.push(c),
      );
      const first =
        length <= 100 ? { kind: 'message', text: long } : { kind: 'too-long', head: long, sizeBytes: length };
      expect(frames).toEqual([first, { kind: 'message', text: 'next' }]);
    }),
  );
});

test('of 100 MiB without an end only the head stays in memory', () => {
  const deframer = new Deframer(1 << 20);
  const chunk = Buffer.alloc(1 << 20, 'y');
  for (let i = 0; i < 100; i++) expect(deframer.push(chunk)).toEqual([]);
  const [found] = deframer.push(Buffer.of(3));
  expect(found).toEqual({ kind: 'too-long', head: 'y'.repeat(HEAD_BYTES), sizeBytes: 100 << 20 });
});
