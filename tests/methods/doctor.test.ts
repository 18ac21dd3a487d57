// octopus.doctor on the virtual bench: what it finds, and that it touches nothing.
import { describe, expect, test } from '@jest/globals';
import { JobBook } from '../../src/jobs/book.ts';
import { modelBoards, type BoardBook } from '../../src/methods/boards.ts';
import { boardByName } from '../../src/boards/boards.ts';
import { remember, type BoardMemory } from '../../src/flash/board-memory.ts';
import type { Finding } from '../../src/methods/doctor.ts';
import { ownImages } from '../../src/methods/image-source.ts';
import { contextOf, withoutJournal, type DaemonFacts } from '../../src/methods/method.ts';
import { METHODS } from '../../src/methods/table.ts';
import type { PrinterCanNode } from '../../src/ports/printer.ts';
import { createBench, type VirtualBench } from '../../src/virtual/bench.ts';
import { PINS } from '../support/bench.ts';

const BOARD = 'octopus-v1.1-f446';

async function examine(
  bench: VirtualBench,
  daemon?: DaemonFacts,
  boards: BoardBook = modelBoards(PINS, { heaters: { kind: 'unused' }, onlyBoard: BOARD }),
): Promise<readonly Finding[]> {
  const house = {
    boards,
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

describe('who a board is', () => {
  // klipper-katapult-dfu.md section 3 (d).
  const [CHIP, UUID] = ['0e002b00135053424e363620', 'ac11f42fe5aa'];
  const [OTHER, OTHER_UUID] = ['4a002e000250534e4e313120', '99196bb712d5'];
  const node = (section: string, uuid: string) => ({
    section,
    uuid,
    interfaceName: 'can0',
    version: null,
  });

  /** Configured boards of one model, each with its section. */
  function bookOf(sections: Readonly<Record<string, string | undefined>>): BoardBook {
    const names = Object.keys(sections);
    return {
      names,
      configured: names,
      onlyBoard: names.length === 1 ? names[0] : undefined,
      imageOf: () => undefined,
      place: (name) => ({
        board: { ...boardByName(BOARD), name },
        pins: PINS,
        heaters: { kind: 'unused' },
        section: sections[name],
      }),
    };
  }
  async function found(
    bench: VirtualBench,
    sections: Readonly<Record<string, string | undefined>>,
    nodes: readonly PrinterCanNode[] = [],
  ): Promise<readonly Finding[]> {
    bench.printer.nodes = nodes;
    const findings = await examine(bench, facts(true, 'up'), bookOf(sections));
    for (const { level, cure } of findings) expect(level === 'ok').toBe(cure === null);
    return findings;
  }
  const make = async (memory: BoardMemory = { chipUid: CHIP, busPath: '1-1.2' }) => {
    const bench = await createBench({ board: BOARD, uid: CHIP });
    await remember(bench, 'main', memory);
    return bench;
  };

  test('the right uuid in its section', async () => {
    const findings = await found(await make(), { main: 'mcu' }, [node('mcu', UUID)]);
    expect(amiss(findings)).toEqual([]);
    expect(findings.map(({ evidence }) => evidence)).toContain("canbus_uuid of [mcu] is this board's");
  });

  test("another board's uuid in its section", async () => {
    const findings = await found(await make(), { main: 'mcu' }, [node('mcu', OTHER_UUID)]);
    expect(amiss(findings)).toEqual([
      `main: [mcu] of printer.cfg has canbus_uuid ${OTHER_UUID}, this board's is ${UUID}`,
    ]);
    expect(findings.find(({ level }) => level === 'error')?.cure).toContain(
      `canbus_uuid: ${UUID} into [mcu]`,
    );
  });

  test('its uuid in the section of another', async () => {
    const findings = await found(await make(), { main: 'mcu' }, [node('mcu two', UUID)]);
    expect(amiss(findings)).toEqual([
      "main: [mcu two] of printer.cfg has this board's canbus_uuid, octopus-flasher.conf says [mcu]",
    ]);
  });

  test('a board that is only guessed at is warned of, unless printer.cfg says that it is another', async () => {
    const guessed = await found(await make({}), { main: 'mcu' }, [node('mcu', OTHER_UUID)]);
    expect(guessed.filter(({ level }) => level !== 'ok').map(({ level }) => level)).toEqual(['warning']);
    const another = [node('mcu', OTHER_UUID), node('mcu two', UUID)];
    expect(amiss(await found(await make({}), { main: 'mcu' }, another))).toEqual([]);
  });

  test('another board in its place', async () => {
    const findings = await found(await make({ chipUid: OTHER, busPath: '1-1.2' }), { main: undefined });
    expect(amiss(findings)).toEqual([`main: at USB 1-1.2 is chip ${CHIP}, but main is known as ${OTHER}`]);
  });

  test('two names for one board', async () => {
    const bench = await make();
    await remember(bench, 'second', { chipUid: CHIP, busPath: '1-1.2' });
    expect(amiss(await found(bench, { main: undefined, second: undefined }))).toEqual([
      `second: main and second both have chip ${CHIP}`,
    ]);
    // Nothing is known of either: both may be the one that is there.
    expect(amiss(await found(await make({}), { main: undefined, second: undefined }))).toEqual([]);
  });

  test('a Klipper that cannot tell its printer.cfg is no mismatch', async () => {
    const bench = await make();
    bench.printer.canNodes = async () => {
      throw new Error('it left just now');
    };
    expect(amiss(await found(bench, { main: 'mcu' }, [node('mcu', OTHER_UUID)]))).toEqual([]);
  });
});
