// The typed getters: each value, each refusal at its own line, and the nearest right spelling.
import { nearest } from '../../src/errors.ts';
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { SectionReader } from '../../src/config/section-reader.ts';
import { readDocument } from '../../src/config/sections.ts';
import { answerOrRefusal, refused } from './refused.ts';

const reader = (value: string) => new SectionReader(readDocument(`[a]\n\nk: ${value}\n`, 'x.conf'), 'a');

describe('answers', () => {
  test.each([
    ['1', true],
    ['Yes', true],
    ['ON', true],
    ['true', true],
    ['0', false],
    ['no', false],
    ['off', false],
    ['False', false],
  ])('boolean %s', (value, answer) => {
    expect(reader(value).boolean('k')).toBe(answer);
  });

  test.each([
    ['12', 12],
    ['-3', -3],
    ['+7', 7],
    ['007', 7],
  ])('integer %s', (value, answer) => {
    expect(reader(value).integer('k')).toBe(answer);
  });

  test.each([
    ['1.5', 1.5],
    ['.5', 0.5],
    ['2.', 2],
    ['-1e-3', -0.001],
  ])('number %s', (value, answer) => {
    expect(reader(value).number('k')).toBe(answer);
  });

  test('choice takes other capitals, list takes commas and lines', () => {
    expect(reader('Warn').choice('k', ['info', 'warn'])).toBe('warn');
    expect(reader('a, b\n  c,\n  # d\n  e').list('k')).toEqual(['a', 'b', 'c', 'e']);
    expect(reader('').list('k')).toEqual([]);
  });

  test('what is not there is undefined, in a section that is not there as well', () => {
    for (const one of [reader('v'), new SectionReader(readDocument('', 'x.conf'), 'a')]) {
      expect(one.text('l')).toBeUndefined();
      expect(one.integer('l')).toBeUndefined();
      expect(one.boolean('l')).toBeUndefined();
      expect(one.choice('l', ['x'])).toBeUndefined();
      expect(one.list('l')).toBeUndefined();
    }
  });
});

describe('refusals', () => {
  const range = { min: 1, max: 9 };
  test.each<[string, string, (one: SectionReader) => unknown, RegExp]>([
    ['no value', '', (one) => one.text('k'), /Write one/],
    ['several lines', 'a\n  b', (one) => one.text('k'), /one line/],
    ['too long', 'a'.repeat(5000), (one) => one.text('k'), /At most/],
    ['no boolean', 'maybe', (one) => one.boolean('k'), /yes, no/],
    ['a word of JavaScript', 'constructor', (one) => one.boolean('k'), /yes, no/],
    ['no integer', '1.5', (one) => one.integer('k', range), /a whole number from 1 to 9/],
    ['hexadecimal', '0x10', (one) => one.integer('k'), /a whole number\./],
    ['too small', '0', (one) => one.integer('k', range), /from 1 to 9/],
    ['too large', '10', (one) => one.integer('k', range), /from 1 to 9/],
    ['no number', 'nan', (one) => one.number('k', { min: 0 }), /a number from 0\./],
    ['infinity', '1e999', (one) => one.number('k'), /a number\./],
    ['no choice', 'warm', (one) => one.choice('k', ['info', 'warn']), /Did you mean warn\?/],
    [
      'nothing like a choice',
      'xyzzy',
      (one) => one.choice('k', ['info', 'warn']),
      /^Known values: info, warn/,
    ],
  ])('%s', (_, value, get, advice) => {
    const error = refused(() => get(reader(value)));
    expect(error.place).toBe('x.conf:3');
    expect(error.message).toMatch(/^\[a\] k /);
    expect(error.advice).toMatch(advice);
    expect(error.message.length).toBeLessThan(130);
  });

  test('a key that nobody asked for, with the nearest one that was', () => {
    const one = new SectionReader(readDocument('[a]\nimage: x\n\nimgae: y', 'x.conf'), 'a');
    one.text('image');
    expect(one.unusedKeys().map(({ key }) => key)).toEqual(['imgae']);
    const error = refused(() => one.finish());
    expect(error).toMatchObject({ place: 'x.conf:4', message: '[a] does not take the key "imgae"' });
    expect(error.advice).toBe('Did you mean image? Known keys: image.');
    expect(refused(() => one.finish({ imgae: 'Elsewhere.' })).advice).toBe('Elsewhere.');
  });
});

test('any value: of its type, or refused', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.double().map(String)), (value) => {
      const one = answerOrRefusal(() => reader(value));
      if (one === undefined) return;
      const integer = answerOrRefusal(() => one.integer('k', { min: -5, max: 5000 }));
      if (integer !== undefined) expect(Number.isSafeInteger(integer)).toBe(true);
      const number = answerOrRefusal(() => one.number('k'));
      if (number !== undefined) expect(Number.isFinite(number)).toBe(true);
      answerOrRefusal(() => one.boolean('k'));
      answerOrRefusal(() => one.choice('k', ['a', 'b']));
      answerOrRefusal(() => one.list('k'));
      one.finish();
    }),
  );
});

test.each([
  ['imgae', 'image'],
  ['IMAGE', 'image'],
  ['bord', 'board'],
  ['xyzzy', undefined],
  ['', undefined],
  ['a'.repeat(100_000), undefined],
])('nearest to %.20s is %s', (given, meant) => {
  expect(nearest(given, ['image', 'board', 'serial'])).toBe(meant);
});
