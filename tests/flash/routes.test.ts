// Which ways into a bootloader are tried, and which not: facts, klipper-katapult-dfu.md 3, table (b) and around it.
import { describe, expect, test } from '@jest/globals';
import { boardByName } from '../../src/boards/boards.ts';
import { planRoutes, type Situation } from '../../src/flash/routes.ts';

const F446 = boardByName('octopus-v1.1-f446');
const F429 = boardByName('octopus-v1.1-f429');
const EBB = boardByName('btt-ebb36-v1.2');

const KNOWN: Situation = {
  hasWires: true,
  needs: 'any',
  mayEnterRom: true,
  runs: 'klipper',
  hasTty: true,
  bootloader: 'other',
};

function triesOf(board: typeof F446, situation: Partial<Situation>): readonly string[] {
  const { tries } = planRoutes({ board, routes: board.routes }, { ...KNOWN, ...situation });
  return tries.map(({ route, leadsTo }) => `${route} > ${leadsTo}`);
}

function whyNot(board: typeof F446, situation: Partial<Situation>, route: string): string | undefined {
  const { skipped } = planRoutes({ board, routes: board.routes }, { ...KNOWN, ...situation });
  return skipped.find((one) => one.route === route)?.why;
}

describe('a board with wires', () => {
  test.each<[string, Partial<Situation>, readonly string[]]>([
    [
      'first contact is by wire, so that the whole flash is kept',
      { bootloader: undefined },
      ['boot0-nrst > rom'],
    ],
    ['behind a stock bootloader only the wires', {}, ['boot0-nrst > rom']],
    [
      'behind Katapult Klipper is asked first, the ROM comes last',
      { bootloader: 'katapult' },
      ['touch-1200 > katapult', 'double-reset > katapult', 'boot0-nrst > rom'],
    ],
    [
      'a bridge is asked over CAN',
      { bootloader: 'katapult', runs: 'klipperBridge', hasTty: false },
      ['can-request > katapult', 'double-reset > katapult', 'boot0-nrst > rom'],
    ],
    [
      'a Katapult that runs ignores the touch',
      { bootloader: 'katapult', runs: 'katapult' },
      ['double-reset > katapult', 'boot0-nrst > rom'],
    ],
    [
      'what is not seen on USB is reset twice',
      { bootloader: 'katapult', runs: undefined, hasTty: false },
      ['double-reset > katapult', 'boot0-nrst > rom'],
    ],
    [
      'what lies before the application needs the ROM',
      { bootloader: 'katapult', needs: 'rom' },
      ['boot0-nrst > rom'],
    ],
    [
      'without a word about the heaters it stays out of the ROM',
      { bootloader: 'katapult', mayEnterRom: false },
      ['touch-1200 > katapult', 'double-reset > katapult'],
    ],
    ['... and goes nowhere where only the ROM is there', { mayEnterRom: false }, []],
  ])('%s', (_what, situation, expected) => {
    expect(triesOf(F446, situation)).toEqual(expected);
  });
});

describe('a board without wires', () => {
  const hasWires = false;
  test.each<[string, Partial<Situation>, readonly string[]]>([
    ['Klipper is asked, its owner last', {}, ['touch-1200 > rom', 'by-hand > either']],
    [
      'who lies below it is not known',
      { bootloader: undefined },
      ['touch-1200 > either', 'by-hand > either'],
    ],
    ['Katapult below it', { bootloader: 'katapult' }, ['touch-1200 > katapult', 'by-hand > either']],
    ['nothing on USB', { runs: undefined, hasTty: false }, ['by-hand > either']],
    [
      'with Katapult below no request leads to the ROM',
      { bootloader: 'katapult', needs: 'rom' },
      ['by-hand > either'],
    ],
    ['a bridge', { runs: 'klipperBridge', hasTty: false }, ['can-request > rom', 'by-hand > either']],
  ])('%s', (_what, situation, expected) => {
    expect(triesOf(F446, { hasWires, ...situation })).toEqual(expected);
  });

  test('an F429 does not enter its ROM by software, and says so', () => {
    expect(triesOf(F429, { hasWires })).toEqual(['by-hand > either']);
    expect(whyNot(F429, { hasWires }, 'touch-1200')).toMatch(/does not enter its ROM by software/);
    // But a Katapult below is reached all the same.
    expect(triesOf(F429, { hasWires, bootloader: 'katapult' })).toEqual([
      'touch-1200 > katapult',
      'by-hand > either',
    ]);
  });
});

test('a toolhead is reached over its bus, or by hand', () => {
  const situation = { hasWires: false, runs: 'can-node', hasTty: false, bootloader: undefined } as const;
  expect(triesOf(EBB, situation)).toEqual(['can-request > katapult', 'by-hand > katapult']);
  expect(triesOf(EBB, { ...situation, needs: 'rom' })).toEqual([]);
});

test('the order is the given one', () => {
  const { tries } = planRoutes(
    { board: F446, routes: ['boot0-nrst', 'touch-1200'] },
    { ...KNOWN, bootloader: 'katapult' },
  );
  expect(tries.map(({ route }) => route)).toEqual(['boot0-nrst', 'touch-1200']);
});
