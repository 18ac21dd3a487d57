// Lines known from a sound start let a start with a spoilt configuration let them go.
import { expect, test } from '@jest/globals';
import { knownLines, rememberLines } from '../../src/compose/known-lines.ts';
import { modelBoards, onlyBoards, requireWires } from '../../src/methods/boards.ts';
import { MemoryStore } from '../../src/virtual/store.ts';
import { VirtualClock } from '../../src/virtual/clock.ts';

const PINS = { boot0: 'gpio20', nrst: 'gpio21' };
const models = modelBoards(PINS, { heaters: { kind: 'unknown' } });
/** As a configuration with two boards, the second without wires. */
const configured = {
  ...models,
  configured: ['octopus-v1.1-f446', 'octopus-pro-f446'],
  place: (name: string) => ({
    ...models.place(name),
    pins: name === 'octopus-pro-f446' ? undefined : PINS,
  }),
};

test('what a sound start knew is there after a spoilt one, and boards without wires are not', async () => {
  const store = new MemoryStore(new VirtualClock());
  await rememberLines(store, configured);
  const book = await knownLines(store);
  expect(book.configured).toEqual(['octopus-v1.1-f446']);
  expect(book.place('octopus-v1.1-f446').pins).toEqual(PINS);
  expect(() => book.place('other')).toThrow(expect.objectContaining({ code: 'unknown-board' }));
});

test('a start without a configuration forgets nothing; nonsense on the disk is nothing', async () => {
  const store = new MemoryStore(new VirtualClock());
  await rememberLines(store, configured);
  await rememberLines(store, models);
  expect((await knownLines(store)).names).toEqual(['octopus-v1.1-f446']);
  await store.write('lines.json', new TextEncoder().encode('{"a":1}'));
  expect((await knownLines(store)).names).toEqual([]);
});

test('a board without wires refuses what drives them, with the cure', () => {
  expect(() => requireWires(configured.place('octopus-v1.1-f446'), 'reset')).not.toThrow();
  expect(() => requireWires(configured.place('octopus-pro-f446'), 'reset')).toThrow(
    expect.objectContaining({ code: 'bad-config', advice: expect.stringMatching(/host\.conf/) }),
  );
});

test("another printer's boards are not there", () => {
  const mine = onlyBoards(configured, (name) => name === 'octopus-v1.1-f446');
  expect(mine).toMatchObject({ names: ['octopus-v1.1-f446'], onlyBoard: 'octopus-v1.1-f446' });
  expect(() => mine.place('octopus-pro-f446')).toThrow(
    expect.objectContaining({ code: 'unknown-board', advice: expect.stringMatching(/octopus-v1\.1-f446/) }),
  );
});
