// Which moments are tried: nothing that occurs is left out, only repetitions are.
import { expect, test } from '@jest/globals';
import { choose, type Choice } from './choose.ts';
import type { Moment } from './timeline.ts';

/** Steps, a long run of frames in threes, steps. */
const WHAT = [
  'open',
  ...Array.from({ length: 900 }, (_, at) => ['head', 'middle', 'tail'][at % 3] ?? ''),
  'store',
  'close',
];
const moments: readonly Moment[] = WHAT.map((what, index) => ({
  n: index + 1,
  wire: what.length === 4 && what !== 'open' ? 'can' : 'none',
  what,
  isAnswer: false,
}));
const CHOICE: Choice = { level: 'complete', mostOfRun: 10, turn: 0 };
const numbers = (choice: Partial<Choice>) => choose(moments, { ...CHOICE, ...choice }).map(({ n }) => n);

test('complete: each moment that is in no run, the edges of a run, and a stride of each of its parts', () => {
  const chosen = numbers({});
  expect(chosen).toEqual([...chosen].sort((a, b) => a - b));
  expect(chosen).toEqual(expect.arrayContaining([1, 2, 3, 4, 5, 899, 900, 901, 902, 903]));
  for (const part of ['head', 'middle', 'tail']) {
    const own = chosen.filter((n) => WHAT[n - 1] === part);
    expect(own.length).toBeGreaterThanOrEqual(10);
    expect(own.length).toBeLessThanOrEqual(17);
  }
  expect(numbers({ turn: 1 })).not.toEqual(chosen);
  expect(numbers({})).toEqual(chosen);
});

test('complete without a limit, and every: all of them', () => {
  expect(numbers({ mostOfRun: Infinity })).toHaveLength(WHAT.length);
  expect(numbers({ level: 'every' })).toHaveLength(WHAT.length);
});

test('sample: two neighbouring cells meet each kind once', () => {
  const [first, second] = [numbers({ level: 'sample' }), numbers({ level: 'sample', turn: 1 })];
  const kinds = [...first, ...second].map((n) => WHAT[n - 1]);
  expect(kinds).toHaveLength(6);
  expect(new Set(kinds)).toEqual(new Set(WHAT));
});
