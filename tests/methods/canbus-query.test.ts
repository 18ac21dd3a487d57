// octopus.canbus_query on the virtual wire: what it answers, what it refuses, what it tells in notes.
import { afterEach, describe, expect, test } from '@jest/globals';
import { canbusQuery } from '../../src/methods/canbus-query.ts';
import { modelBoards } from '../../src/methods/boards.ts';
import type { Context } from '../../src/methods/method.ts';
import type { CanFrame, CanHost, CanTrouble } from '../../src/ports/can.ts';
import type { PrinterCanNode } from '../../src/ports/printer.ts';
import { createBench, type BenchOptions, type VirtualBench } from '../../src/virtual/bench.ts';

const benches: VirtualBench[] = [];
afterEach(() => {
  for (const bench of benches.splice(0)) bench.dispose();
});

const BOOK = modelBoards({ boot0: 'gpio26', nrst: 'gpio19' }, { heaters: { kind: 'unused' } });
const UUID = '11aa22bb33cc';
const EBB: PrinterCanNode = {
  section: 'mcu ebb',
  uuid: UUID,
  interfaceName: 'can0',
  version: 'v0.13.0-1-gabcdef0',
};

async function setUp(options: BenchOptions, known: readonly PrinterCanNode[] = []) {
  const bench = await createBench(options);
  benches.push(bench);
  bench.printer.nodes = known;
  return bench;
}

async function query(
  bench: VirtualBench,
  given: Record<string, unknown> = {},
  over: { can?: CanHost; signal?: AbortSignal } = {},
) {
  const call = canbusQuery.prepare(given, BOOK);
  const kit = { ...bench, can: over.can ?? bench.can };
  const began = bench.clock.now();
  // The method looks at its kit only.
  const answer = await call.run(
    { kit } as unknown as Context,
    () => {},
    over.signal ?? new AbortController().signal,
  );
  return { ...answer, took: bench.clock.now() - began };
}

test('nodes without an id by their answers, the others from printer.cfg, sorted by uuid', async () => {
  const nodes = [
    { uuid: 'cc0000000003', runs: 'katapult' as const },
    { uuid: UUID, nodeId: 4 },
    { uuid: 'aa0000000001' },
    {
      uuid: 'bb0000000002',
      answer: ({ id, data }: CanFrame) => [{ id, data: Uint8Array.of(...data.subarray(0, 7), 0x42) }],
    },
  ];
  const known = [
    EBB,
    { ...EBB, section: 'mcu late', uuid: 'aa0000000001', version: null },
    { ...EBB, section: 'mcu boot', uuid: 'cc0000000003', version: 'v0.12.0' },
    { ...EBB, section: 'mcu other', uuid: 'dd0000000004', interfaceName: 'can1' },
  ];
  const bench = await setUp({ can: { nodes } }, known);
  expect(await query(bench)).toEqual({
    interface: 'can0',
    nodes: [
      { uuid: UUID, application: 'klipper', name: 'mcu ebb', version: EBB.version, assigned: true },
      { uuid: 'aa0000000001', application: 'klipper', name: 'mcu late', version: null, assigned: false },
      { uuid: 'bb0000000002', application: 'unknown', name: null, version: null, assigned: false },
      // Klipper's host knew a version once; what runs there now is Katapult.
      { uuid: 'cc0000000003', application: 'katapult', name: 'mcu boot', version: null, assigned: false },
    ],
    notes: [],
    took: 2000,
  });
});

test('nobody there: an empty list, never null', async () => {
  const bench = await setUp({ can: { nodes: [{ nodeId: 4 }] } });
  expect(await query(bench)).toMatchObject({ interface: 'can0', nodes: [], notes: [] });
});

test('a node that answers after 1.9 s is in the list', async () => {
  const bench = await setUp({ can: { nodes: [{ uuid: UUID, answerAfterMs: 1900 }] } });
  expect((await query(bench)).nodes).toHaveLength(1);
});

test('eight that answer at once', async () => {
  const bench = await setUp({ can: { nodes: Array.from({ length: 8 }, () => ({})) } });
  const { nodes, notes } = await query(bench);
  expect([nodes.length, notes]).toEqual([8, []]);
});

test('the bridge and what hangs on it; Klipper is not there to tell', async () => {
  const bench = await setUp(
    { state: 'bridge', uid: '000102030405060708090A0B', can: { nodes: [{ uuid: UUID }] } },
    [EBB],
  );
  await bench.printer.stopKlipper();
  await bench.pressReset();
  await bench.settle();
  const { nodes, notes } = await query(bench);
  expect(nodes.map(({ uuid, name }) => [uuid, name])).toEqual([
    [UUID, null],
    ['90a4ae022dfc', null],
  ]);
  expect(notes).toEqual([expect.stringContaining('"disconnected"')]);
});

describe('notes', () => {
  test.each([
    [
      'one uuid twice',
      [
        { uuid: UUID, answerAfterMs: 1 },
        { uuid: UUID, answerAfterMs: 3 },
      ],
      [],
      /^11aa22bb33cc answered 2 times/,
    ],
    ['one uuid in two programs', [{ uuid: UUID }, { uuid: UUID, runs: 'katapult' }], [], /answered 2 times/],
    ['one that repeats', [{ uuid: UUID, answerTimes: 3 }], [], /answered 3 times/],
    [
      "rubbish on the answers' id",
      [{ answer: () => [{ id: 0x3f1, data: Uint8Array.of(0x20, 1) }] }],
      [],
      /^1 frames looked like/,
    ],
    ['silent and not identified', [{ nodeId: 4 }], [{ ...EBB, version: null }], /\[mcu ebb\] did not answer/],
    ['nobody acknowledges', [], [], /not acknowledged/],
    ['a node with another bitrate', [{}, { bitrate: 500_000 }], [], /^can0 went bus-off/],
    [
      'one that disturbs for a while',
      [{}, { bitrate: 500_000, disturbs: 5 }],
      [],
      /^can0: frames were destroyed/,
    ],
  ] as const)('%s', async (_story, nodes, known, expected) => {
    const bench = await setUp({ can: { nodes } }, known);
    const { notes } = await query(bench);
    expect(notes).toEqual([expect.stringMatching(expected)]);
    expect(notes.join('')).toMatch(/^[ -~]*$/);
  });

  test('two programs with one uuid are both listed', async () => {
    const bench = await setUp({ can: { nodes: [{ uuid: UUID }, { uuid: UUID, runs: 'katapult' }] } }, [EBB]);
    expect((await query(bench)).nodes.map(({ application, name }) => [application, name])).toEqual([
      ['katapult', 'mcu ebb'],
      ['klipper', 'mcu ebb'],
    ]);
  });

  test.each(['error', 'shutdown', 'startup', 'disconnected'] as const)(
    'Klipper in state %s',
    async (state) => {
      const bench = await setUp({ can: { nodes: [{ nodeId: 4 }] } });
      bench.printer.reading = { state };
      expect((await query(bench)).notes).toEqual([expect.stringContaining(`"${state}"`)]);
    },
  );

  test('without a printer nothing is said of it, and its configuration is not asked for', async () => {
    const bench = await setUp({ can: { nodes: [{ nodeId: 4 }] } }, [EBB]);
    bench.printer.reading = { state: 'absent' };
    expect(await query(bench)).toMatchObject({ nodes: [], notes: [] });
  });
});

describe('refused, and nothing is sent', () => {
  const guarded = async (act: (bench: VirtualBench) => void) => {
    const bench = await setUp({ can: { nodes: [{}] } });
    let opened = 0;
    const can: CanHost = {
      open: (name) => {
        opened += 1;
        return bench.can.open(name);
      },
    };
    act(bench);
    const error = await query(bench, {}, { can }).catch((thrown: unknown) => thrown);
    expect(opened).toBe(0);
    return error;
  };
  test.each([
    ['printing', 'a print is running'],
    ['paused', 'a print is paused'],
    ['moving', 'the printer is moving'],
  ] as const)('%s', async (key, words) => {
    const error = await guarded((bench) => (bench.printer.reading = { [key]: true }));
    expect(error).toMatchObject({ code: 'gate-closed', message: expect.stringContaining(words) });
    expect(error).toMatchObject({ message: expect.stringContaining('can disturb the CAN bus') });
  });
  test('nobody knows whether it prints', async () => {
    const error = await guarded((bench) => (bench.printer.unreachable = true));
    expect(error).toMatchObject({ code: 'printer-unreachable' });
  });
  test.each([
    '',
    'a-name-of-16-chr',
    'can/0',
    '../can0',
    'can 0',
    'can0\n',
    'can:0',
    '.',
    '..',
    'cän0',
    0,
    null,
    ['can0'],
  ])('the name %j', (name) => {
    expect(() => canbusQuery.prepare({ interface: name }, BOOK)).toThrow(
      expect.objectContaining({ code: 'bad-parameter', place: 'interface' }),
    );
  });
});

describe('interfaces', () => {
  test('another name, and 15 characters', async () => {
    const name = 'can-of-the-rear';
    const bench = await setUp({ can: { interfaceName: name, nodes: [{ uuid: UUID }] } });
    expect(await query(bench, { interface: name })).toMatchObject({
      interface: name,
      nodes: [{ uuid: UUID }],
    });
  });
  test('absent', async () => {
    await expect(query(await setUp({}))).rejects.toMatchObject({ code: 'no-hardware', place: 'can0' });
  });
  test.each([
    ['goes away', (bench: VirtualBench) => bench.can.unplugAdapter()],
    ['is taken down', (bench: VirtualBench) => bench.can.setLink('down')],
  ])('one that %s in the middle: an error at once, no half list', async (_story, act) => {
    const bench = await setUp({ can: { nodes: [{}] } });
    const began = bench.clock.now();
    void bench.clock.sleep(500).then(() => act(bench));
    await expect(query(bench)).rejects.toMatchObject({ code: 'device-gone', place: 'can0' });
    expect(bench.clock.now() - began).toBeLessThan(600);
  });

  test('cancelled: it ends at once, and the interface is free', async () => {
    const bench = await setUp({ can: { nodes: [{}] } });
    const cancel = new AbortController();
    const began = bench.clock.now();
    void bench.clock.sleep(500).then(() => cancel.abort());
    let closed = 0;
    const can: CanHost = {
      open: async (name) => {
        const bus = await bench.can.open(name);
        return new Proxy(bus, {
          get: (target, key) => {
            if (key === 'close') closed += 1;
            const value: unknown = Reflect.get(target, key);
            return typeof value === 'function' ? value.bind(target) : value;
          },
        });
      },
    };
    await expect(query(bench, {}, { can, signal: cancel.signal })).rejects.toMatchObject({
      name: 'AbortError',
    });
    expect([closed, bench.clock.now()]).toEqual([1, expect.closeTo(began + 500, 0)]);
  });

  test('a queue that has room again is waited for; one that has not is an error', async () => {
    const bench = await setUp({});
    const host = (fullFor: number): CanHost => ({
      open: async () => ({
        send: async () => (fullFor-- > 0 ? 'full' : 'queued'),
        onFrame: () => () => {},
        onTrouble: (_listener: (trouble: CanTrouble) => void) => () => {},
        close: async () => {},
      }),
    });
    expect(await query(bench, {}, { can: host(9) })).toMatchObject({ nodes: [] });
    await expect(query(bench, {}, { can: host(Infinity) })).rejects.toMatchObject({
      code: 'no-device',
      place: 'can0',
      advice: expect.stringContaining('acknowledges'),
    });
  });
});
