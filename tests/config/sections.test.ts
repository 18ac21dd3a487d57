// The reader of sections and keys: what Klipper and Moonraker read, read as they do; and every byte written back.
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { KLIPPER, MOONRAKER, type Dialect } from '../../src/config/dialect.ts';
import { MAX_SIZE_BYTES, decodeConfig, readDocument, serialize } from '../../src/config/sections.ts';
import { answerOrRefusal, refused } from './refused.ts';

/** `{ section: { key: value } }` */
const valuesOf = (text: string, dialect: Dialect = MOONRAKER) =>
  Object.fromEntries(
    [...readDocument(text, 'x.conf', dialect).sections.values()].map(({ name, entries }) => [
      name,
      Object.fromEntries([...entries.values()].map(({ key, value }) => [key, value])),
    ]),
  );

describe('values', () => {
  test.each([
    ['a colon', '[a]\nk: v', 'v'],
    ['an equals sign', '[a]\nk=v', 'v'],
    ['spaces around', '[a]\n  k  =   v  ', 'v'],
    ['the first delimiter counts', '[a]\nk: http://x:1/?a=b', 'http://x:1/?a=b'],
    ['capitals in the key', '[a]\nK: V', 'V'],
    ['nothing', '[a]\nk:', ''],
    ['only a comment', '[a]\nk: # v', ''],
    ['a comment behind', '[a]\nk: v # c', 'v'],
    ['another comment behind', '[a]\nk: v\t; c', 'v'],
    ['no comment without a space', '[a]\nk: v#c;d', 'v#c;d'],
    ['an escaped hash', '[a]\nk: v \\# c', 'v # c'],
    ['an escaped hash in front', '[a]\nk: \\#c', '#c'],
    ['a backslash that escapes nothing', '[a]\nk:\\#c\\d', '\\#c\\d'],
    ['Windows lines', '[a]\r\nk: v\r\n', 'v'],
    ['old Macintosh lines', '[a]\rk: v\r', 'v'],
    ['a byte order mark', '\uFEFF[a]\nk: v', 'v'],
    ['lines below', '[a]\nk:\n  v\n  w', '\nv\nw'],
    ['lines below with comments', '[a]\nk: u # c\n  v ; c\n# c\n\n  w\nl: x', 'u\nv\nw'],
    ['a header in a value', '[a]\nk: v\n [b]', 'v\n[b]'],
    ['not only ASCII', '[a]\nk: \u00e4\u2028\u{1f419}', '\u00e4\u2028\u{1f419}'],
  ])('%s', (_, text, value) => {
    expect(valuesOf(text).a?.k).toBe(value);
  });

  test('an indented key is a key, and what is indented deeper belongs to it', () => {
    expect(valuesOf('[a]\n  k: v\n  l: w\n\t\tx\n  [b]\nk: v')).toEqual({
      a: { k: 'v', l: 'w\nx' },
      b: { k: 'v' },
    });
  });

  test('names that mean something to JavaScript are names', () => {
    const text = '[__proto__]\nconstructor: a\n[constructor]\n__proto__: b';
    const { sections } = readDocument(text, 'x.conf');
    expect(sections.get('__proto__')?.entries.get('constructor')?.value).toBe('a');
    expect(sections.get('constructor')?.entries.get('__proto__')?.value).toBe('b');
  });
});

describe('printer.cfg', () => {
  test.each([
    ['# ends a line anywhere', '[a]\nk: v#c', 'v'],
    ['; only behind a space', '[a]\nk: v;w ;c', 'v;w'],
    ['a backslash is a backslash', '[a]\nk: v\\', 'v\\'],
    ['empty lines are part of a value', '[a]\nk:\n  v\n\n  w\n\n[b]', '\nv\n\nw'],
    ['lines of comment, by kind', '[a]\nk: u\n; c\n  v\n# c\n  w', 'u\nv\n\nw'],
    ['the last of two keys counts', '[a]\nk: v\nk: w', 'w'],
    ['sections join', '[a]\nk: v\n[b]\n[a]\nk: w', 'w'],
    ['text behind a header', '[a] x\nk: v', 'v'],
    ["a line end that is none of Klipper's", '[a\u2028]\n[a]\nk: v', 'v'],
  ])('%s', (_, text, value) => {
    expect(valuesOf(text, KLIPPER).a?.k).toBe(value);
  });

  test('what SAVE_CONFIG wrote is comment', () => {
    const saved = '[a]\nk: v\n\n#*# <--- SAVE_CONFIG --->\n#*# [b]\n#*# k = w\n';
    expect(valuesOf(saved, KLIPPER)).toEqual({ a: { k: 'v' } });
    expect(serialize(readDocument(saved, 'printer.cfg', KLIPPER))).toBe(saved);
  });
});

describe('refused with line and cure', () => {
  test.each([
    ['text before the first section', '# c\nk: v', 2, /before the first section/],
    ['no delimiter', '[a]\nk v', 2, /no key and value/],
    ['no key', '[a]\n: v', 2, /no key and value/],
    ['an open header', '[a]\n[b\nk: v', 2, /not a section header/],
    ['an empty header', '[ ]', 1, /not a section header/],
    ['text behind a header', '[a] b', 1, /not a section header/],
    ['a key twice', '[a]\nk: v\n\nK = w', 4, /"k" is there twice: lines 2 and 4/],
    ['a section twice', '[a]\n[b]\n[a]', 3, /\[a\] is there twice: lines 1 and 3/],
    ['a control character', '[a]\nk: v\0', 2, /control character/],
    ['a control character in a comment', '[a] # \u001b[31m', 1, /control character/],
    ['an unbroken line', `[a]\n${'k'.repeat(5000)}`, 2, /no key and value/],
  ])('%s', (_, text, line, message) => {
    const error = refused(() => readDocument(text, 'x.conf'));
    expect(error.place).toBe(`x.conf:${line}`);
    expect(error.message).toMatch(message);
    expect(error.message.length).toBeLessThan(160);
  });

  test('no UTF-8, and too much', () => {
    const long = new TextEncoder().encode('#'.repeat(MAX_SIZE_BYTES + 1));
    expect(refused(() => decodeConfig(Uint8Array.of(0x5b, 0xff), 'x.conf')).message).toMatch(/UTF-8/);
    expect(refused(() => decodeConfig(long, 'x.conf')).message).toMatch(/larger/);
    expect(refused(() => readDocument('#'.repeat(MAX_SIZE_BYTES + 1), 'x.conf')).message).toMatch(/larger/);
    expect(decodeConfig(long.subarray(1), 'x.conf')).toHaveLength(MAX_SIZE_BYTES);
  });

  test.each([
    ['spaces', ' '.repeat(MAX_SIZE_BYTES - 10)],
    ['brackets', '['.repeat(MAX_SIZE_BYTES - 10)],
    ['empty lines', '\n'.repeat(MAX_SIZE_BYTES - 10)],
    ['backslashes', ' \\'.repeat(MAX_SIZE_BYTES / 2 - 10)],
    ['keys', '[a]\n' + Array.from({ length: 60_000 }, (_, i) => `k${i}: v`).join('\n')],
  ])('a whole megabyte of %s is read or refused at once', (_, text) => {
    for (const dialect of [MOONRAKER, KLIPPER]) answerOrRefusal(() => readDocument(text, 'x.conf', dialect));
  });
});

/** Pieces that meet each other in every order; plain noise seldom makes a section. */
const PIECES = [
  '[a]',
  '[b c]',
  'k: v',
  'K = w',
  'l:',
  '  m',
  '\t',
  ' ',
  '#',
  ';',
  ' # c',
  '\\#',
  '[',
  ']',
  ':',
];
const ENDS = ['\n', '\n', '\n', '\r\n', '\r'];
const ODD = ['=', '\uFEFF', '\0', '\u00e4', '\u2028', '__proto__: x'];
const pieces = fc.constantFrom(...PIECES, ...ENDS, ...ODD);
const files = fc.oneof(
  fc.array(pieces, { maxLength: 60 }).map((all) => all.join('')),
  fc.string(),
);

test.each([
  ['moonraker', MOONRAKER],
  ['klipper', KLIPPER],
])('%s: any text is written back byte for byte, or refused', (_, dialect) => {
  fc.assert(
    fc.property(files, (text) => {
      const document = answerOrRefusal(() => readDocument(text, 'x.conf', dialect));
      if (document === undefined) return;
      expect(serialize(document)).toBe(text);
      expect(document.lines.map(({ number }) => number)).toEqual(document.lines.map((__, i) => i + 1));
    }),
    { numRuns: 2000 },
  );
});

test('any bytes are written back, or refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const text = answerOrRefusal(() => decodeConfig(bytes, 'x.conf'));
      if (text !== undefined) expect(new TextEncoder().encode(text)).toEqual(bytes);
    }),
  );
});
