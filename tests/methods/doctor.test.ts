// octopus.doctor on the virtual bench: what it finds, and that it touches nothing.
import { expect, test } from '@jest/globals';
import { JobBook } from '../../src/jobs/book.ts';
import { modelBoards } from '../../src/methods/boards.ts';
import type { Finding } from '../../src/methods/doctor.ts';
import { ownImages } from '../../src/methods/image-source.ts';
import { contextOf, withoutJournal, type DaemonFacts } from '../../src/methods/method.ts';
import { METHODS } from '../../src/methods/table.ts';
import { createBench, type VirtualBench } from '../../src/virtual/bench.ts';
import { PINS } from '../support/bench.ts';

const BOARD = 'octopus-v1.1-f446';

async function examine(bench: VirtualBench, daemon?: DaemonFacts): Promise<readonly Finding[]> {
  const house = {
    boards: modelBoards(PINS, { heaters: { kind: 'unused' }, onlyBoard: BOARD }),
    images: ownImages('/home/pi'),
    jobs: new JobBook(),
    isRemote: false,
    daemon: daemon === undefined ? undefined : async () => daemon,
  };
  const changes: unknown[] = [];
  bench.lines.onLineChange((change) => changes.push(change));
  const call = METHODS.doctor.prepare({}, house.boards);
  const { findings } = await call.run(
    contextOf(withoutJournal(bench), house),
    () => {},
    new AbortController().signal,
  );
  expect(changes).toEqual([]);
  expect(bench.printer.serviceRunning).toBe(true);
  bench.dispose();
  return findings;
}

const facts = (isArmed: boolean, moonraker: 'up' | 'down'): DaemonFacts => ({
  version: '1',
  isArmed,
  printers: [{ name: 'voron', moonraker }],
});
const amiss = (findings: readonly Finding[]) =>
  findings.filter(({ level }) => level !== 'ok').map(({ about, evidence }) => `${about}: ${evidence}`);

test('nothing amiss on a board that runs, armed and connected', async () => {
  const findings = await examine(await createBench({ board: BOARD }), facts(true, 'up'));
  expect(amiss(findings)).toEqual([]);
  expect(findings.map(({ evidence }) => evidence)).toContain('Klipper is ready');
});

test('not armed, no Moonraker, no daemon', async () => {
  expect(amiss(await examine(await createBench({ board: BOARD }), facts(false, 'down')))).toEqual([
    'host: not armed',
    'voron: no connection to Moonraker',
  ]);
  expect(amiss(await examine(await createBench({ board: BOARD })))).toEqual(['host: no daemon runs']);
});

test('a board that is unplugged, and one whose flash is empty', async () => {
  const gone = await createBench({ board: BOARD });
  gone.unplug();
  await gone.clock.sleep(1000);
  expect(amiss(await examine(gone, facts(true, 'up')))).toContain(
    `${BOARD}: nothing on USB looks like this board`,
  );
  const blank = await createBench({ board: BOARD, state: 'blank', lines: { jumperFitted: true } });
  expect(amiss(await examine(blank, facts(true, 'up'))).join()).toMatch(/in DFU mode at USB/);
});

test('a printer that cannot be asked is a finding, not an end', async () => {
  const bench = await createBench({ board: BOARD });
  bench.printer.unreachable = true;
  const findings = await examine(bench, facts(true, 'up'));
  expect(findings.find(({ level }) => level === 'error')).toMatchObject({
    about: BOARD,
    cure: expect.any(String),
  });
});

test('Klipper in error: macros are dead, the command line is not', async () => {
  const bench = await createBench({ board: BOARD });
  bench.printer.reading = { state: 'error' };
  expect(amiss(await examine(bench, facts(true, 'up')))).toEqual([`${BOARD}: Klipper is in state "error"`]);
});

test('every finding that is amiss has a cure', async () => {
  const bench = await createBench({ board: BOARD, state: 'blank' });
  bench.printer.reading = { state: 'shutdown' };
  const findings = await examine(bench);
  expect(findings.filter(({ level, cure }) => level !== 'ok' && cure === null)).toEqual([]);
});
