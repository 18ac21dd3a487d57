// Every method against every kind of wrong call: an own error that names the parameter and the cure.
import { describe, expect, test } from '@jest/globals';
import { boardNames } from '../../src/boards/boards.ts';
import { modelBoards } from '../../src/methods/boards.ts';
import { METHODS } from '../../src/methods/table.ts';

const BOARD = 'octopus-v1.1-f446';
const BOOK = modelBoards({ boot0: 'gpio26', nrst: 'gpio19' }, { heaters: { kind: 'unused' } });
/** A call of each method with nothing wrong. */
const GOOD: Readonly<Record<keyof typeof METHODS, Readonly<Record<string, unknown>>>> = {
  flash: { board: BOARD, image: 'klipper.bin' },
  inspect: { image: 'klipper.bin' },
  status: { board: BOARD },
  backup: { board: BOARD },
  backups: {},
  restore: { board: BOARD, backup: 'abc' },
  repair: { board: BOARD },
  reset: { board: BOARD },
  dfuEnter: { board: BOARD },
  canbusQuery: {},
  doctor: {},
  jobGet: { job: 'abcdef' },
  jobList: {},
  jobCancel: { job: 'abcdef' },
  wiringTest: { board: BOARD },
  linesRelease: { board: BOARD },
  unprotect: { board: BOARD },
};
const wrong = (method: keyof typeof METHODS, values: Record<string, unknown>) => () =>
  METHODS[method].prepare({ ...GOOD[method], ...values }, BOOK);
const methods = Object.keys(GOOD).filter((key): key is keyof typeof METHODS => key in METHODS);

test('the table of good calls is whole', () =>
  expect(methods.toSorted()).toEqual(Object.keys(METHODS).sort()));

describe.each(methods)('%s', (key) => {
  test('a call with nothing wrong is taken', () => {
    expect(METHODS[key].prepare(GOOD[key], BOOK).board).toBe(GOOD[key].board);
  });

  test('a parameter that does not exist is named, with the nearest that does', () => {
    expect(wrong(key, { colour: 'red' })).toThrow(
      expect.objectContaining({ code: 'unknown-parameter', place: 'colour', outcome: 'usage' }),
    );
    for (const name of Object.keys(METHODS[key].parameters)) {
      const misspelt = `${name.slice(0, -1)}x`;
      expect(wrong(key, { [misspelt]: 'x' })).toThrow(
        expect.objectContaining({
          code: 'unknown-parameter',
          place: misspelt,
          advice: expect.stringContaining(`Did you mean ${name}?`),
        }),
      );
    }
  });

  test('what Object has of its own is no parameter', () => {
    expect(wrong(key, { constructor: 'x' })).toThrow(expect.objectContaining({ code: 'unknown-parameter' }));
  });

  test('a required parameter that is missing is named', () => {
    for (const [name, parameter] of Object.entries(METHODS[key].parameters)) {
      if ('fallback' in parameter) continue;
      expect(wrong(key, { [name]: undefined })).toThrow(
        expect.objectContaining({ code: 'bad-parameter', place: name }),
      );
    }
  });

  test('no parameter takes null, a list of numbers or an object', () => {
    for (const name of Object.keys(METHODS[key].parameters)) {
      for (const value of [null, [1], { a: 1 }]) {
        expect(wrong(key, { [name]: value })).toThrow(
          expect.objectContaining({
            code: 'bad-parameter',
            place: name,
            advice: expect.stringMatching(/^Allowed: ./),
          }),
        );
      }
    }
  });

  test('an unknown board is told with those that exist', () => {
    if (!('board' in METHODS[key].parameters)) return;
    expect(wrong(key, { board: 'octopus' })).toThrow(
      expect.objectContaining({
        code: 'unknown-board',
        advice: expect.stringContaining(boardNames()[0] ?? ''),
      }),
    );
  });
});

test.each([
  ['confirm', 'hot'],
  ['confirm', 'cold,hot'],
  ['confirm', 'cold,'],
  ['confirm', ['cold', 1]],
  ['force', 'everything'],
  ['dry_run', 'perhaps'],
  ['verify', 2],
  ['image', ''],
])('flash refuses %s = %j', (name, value) => {
  expect(wrong('flash', { [name]: value })).toThrow(
    expect.objectContaining({ code: 'bad-parameter', place: name }),
  );
});

test.each([-1, 3601, Number.NaN, Number.POSITIVE_INFINITY, '', ' ', '1e9', 'soon'])(
  'dfu_enter refuses hold_s = %p',
  (value) => {
    expect(wrong('dfuEnter', { hold_s: value })).toThrow(
      expect.objectContaining({ code: 'bad-parameter', place: 'hold_s' }),
    );
  },
);

describe('inspect', () => {
  const call = (values: Record<string, unknown>) => METHODS.inspect.prepare(values, BOOK);

  test.each([
    ['neither', {}],
    ['both', { image: 'klipper.bin', board: BOARD }],
  ])('%s of file and board: refused', (_name, values) => {
    expect(() => call(values)).toThrow(expect.objectContaining({ code: 'bad-parameter', outcome: 'usage' }));
  });

  test('a file needs no board and no lock; a board is a job that asks for leave', () => {
    expect(call({ image: 'klipper.bin' })).toMatchObject({
      board: undefined,
      needs: 'nothing',
      changesBoard: false,
    });
    expect(call({ board: BOARD })).toMatchObject({ board: BOARD, needs: 'job', changesBoard: true });
  });

  test("the only board and its configured image are nobody's wish", () => {
    const book = { ...BOOK, onlyBoard: BOARD, imageOf: () => 'klipper.bin' };
    expect(() => METHODS.inspect.prepare({}, book)).toThrow(
      expect.objectContaining({ code: 'bad-parameter' }),
    );
    expect(METHODS.inspect.prepare({ board: BOARD }, book).needs).toBe('job');
  });
});

test('texts of G-code macros and command lines are taken', () => {
  const values = { confirm: 'cold, still', force: 'unknown-kind', dry_run: '1', verify: 'false' };
  expect(wrong('flash', values)).not.toThrow();
  expect(wrong('dfuEnter', { hold_s: '12.5' })).not.toThrow();
});
