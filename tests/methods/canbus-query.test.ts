// octopus.canbus_query on the virtual wire: what it answers, what it refuses, what it tells in notes.
import { afterEach, describe, expect, test } from '@jest/globals';
import { OctopusError } from '../../src/errors.ts';
import { lockOfBus } from '../../src/flash/bus-lock.ts';
import { askUnassigned } from '../../src/flash/canbus-query.ts';
import type { Clock } from '../../src/ports/clock.ts';
import { canbusQuery } from '../../src/methods/canbus-query.ts';
import { modelBoards } from '../../src/methods/boards.ts';
import type { Context } from '../../src/methods/method.ts';
import type { CanFrame, CanHost, CanTrouble } from '../../src/ports/can.ts';
import type { PrinterCanNode } from '../../src/ports/printer.ts';
import { createBench, type BenchOptions, type VirtualBench } from '../../src/virtual/bench.ts';
import type { CanNodeOptions } from '../../src/virtual/can-node.ts';

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

/** Another chip than the nodes' own, whose uuid is in the facts. */
const PLAIN: BenchOptions = { uid: '000102030405060708090A0B' };

async function setUp(options: BenchOptions, known: readonly PrinterCanNode[] = []) {
  const bench = await createBench({ ...PLAIN, ...options });
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

/** Neither bridge nor adapter's own: what most nodes are. */
const ON_WIRE = { bridge: false, transport: 'can', busPath: null } as const;

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
      {
        uuid: UUID,
        application: 'klipper',
        name: 'mcu ebb',
        version: EBB.version,
        assigned: true,
        ...ON_WIRE,
      },
      {
        uuid: 'aa0000000001',
        application: 'klipper',
        name: 'mcu late',
        version: null,
        assigned: false,
        ...ON_WIRE,
      },
      {
        uuid: 'bb0000000002',
        application: 'unknown',
        name: null,
        version: null,
        assigned: false,
        ...ON_WIRE,
      },
      // Klipper's host knew a version once; what runs there now is Katapult.
      {
        uuid: 'cc0000000003',
        application: 'katapult',
        name: 'mcu boot',
        version: null,
        assigned: false,
        ...ON_WIRE,
      },
    ],
    usb: [
      // klipper-katapult-dfu.md section 3 (d) has the pair.
      { busPath: '1-1.2', mcu: 'stm32f446xx', application: 'klipper', bridge: false, uuid: '90a4ae022dfc' },
    ],
    notes: [],
    took: expect.any(Number),
  });
});

describe('when it ends', () => {
  /** When each answer was there, ms after the beginning, heard by another program. */
  async function timed(nodes: readonly CanNodeOptions[], more: Partial<BenchOptions> = {}) {
    const bench = await setUp({ can: { nodes }, ...more });
    const began = bench.clock.now();
    const answers: number[] = [];
    (await bench.can.open('can0')).onFrame(({ id }) => {
      if (id === 0x3f1) answers.push(bench.clock.now() - began);
    });
    const { took, nodes: found } = await query(bench);
    return { took, found: found.length, afterLastMs: took - (answers.at(-1) ?? 0) };
  }

  test.each([1, 8, 16])('%d nodes that answer at once: 300 ms after the last at most', async (count) => {
    const { took, found, afterLastMs } = await timed(Array.from({ length: count }, () => ({})));
    expect(found).toBe(count);
    expect(afterLastMs).toBeGreaterThan(200);
    expect(afterLastMs).toBeLessThanOrEqual(300);
    expect(took).toBeLessThan(350);
  });

  test('nobody answers: as long after the query', async () => {
    expect((await timed([{ nodeId: 4 }])).took).toBeLessThanOrEqual(300);
  });

  test('answers that come one after the other are all waited for', async () => {
    const late = [100, 300, 500, 640].map((answerAfterMs) => ({ answerAfterMs }));
    const { found, took, afterLastMs } = await timed(late);
    expect(found).toBe(4);
    expect(afterLastMs).toBeLessThanOrEqual(300);
    expect(took).toBeGreaterThan(640);
  });

  test('a bus that never falls silent: 1 s in all', async () => {
    const { took } = await timed(Array.from({ length: 40 }, (_, n) => ({ answerAfterMs: 50 * n })));
    expect(took).toBeGreaterThan(800);
    expect(took).toBeLessThanOrEqual(1000);
  });

  test('other traffic is no answer', async () => {
    const bench = await setUp({ can: { nodes: [{}, { nodeId: 4 }] } });
    const talk = async (): Promise<void> => {
      for (let n = 0; n < 100; n++) {
        bench.can.nodes[1]?.say({ id: 0x109, data: Uint8Array.of(5) });
        await bench.clock.sleep(10);
      }
    };
    void talk();
    expect((await query(bench)).took).toBeLessThan(300);
  });

  test('nobody acknowledges yet: silence begins when the query was on the wire, and who comes then is heard', async () => {
    const bench = await setUp({ can: { nodes: [{ uuid: UUID, isOff: true }] } });
    void bench.clock.sleep(500).then(() => bench.can.nodes[0]?.powerOn());
    const { nodes, took } = await query(bench);
    expect(nodes.map(({ uuid }) => uuid)).toEqual([UUID]);
    expect(took).toBeGreaterThan(700);
    expect(took).toBeLessThan(800);
  });

  test('nobody acknowledges ever: 1 s in all', async () => {
    const { took } = await timed([]);
    expect(took).toBeLessThanOrEqual(1000);
  });

  test('through a bridge', async () => {
    const { took, found } = await timed([{}, {}], { state: 'bridge' });
    expect([found, took <= 300]).toEqual([3, true]);
  });
});

test('a process that was held up hears what came meanwhile before it takes the bus for silent', async () => {
  const listeners: ((frame: CanFrame) => void)[] = [];
  const tell = (id: number, ...data: number[]) => {
    for (const listener of listeners) listener({ id, data: Uint8Array.from(data) });
  };
  const can: CanHost = {
    open: async () => ({
      send: async () => {
        tell(0x3f0, 0);
        return 'queued' as const;
      },
      onFrame: (listener) => {
        listeners.push(listener);
        return () => {};
      },
      onTrouble: () => () => {},
      close: async () => {},
    }),
  };
  let now = 0;
  let isHeldUp = true;
  const clock: Clock = {
    now: () => now,
    date: () => now,
    sleep: async (ms) => {
      now += ms;
      if (isHeldUp && now >= 200) {
        // Late: this timer is due before Node reads the socket, where the answer has waited all the time.
        isHeldUp = false;
        setImmediate(() => tell(0x3f1, 0x20, 1, 2, 3, 4, 5, 6, 1));
        return;
      }
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
  const { nodes } = await askUnassigned({ can, clock }, 'can0');
  expect(nodes.map(({ uuid }) => uuid)).toEqual(['010203040506']);
});

test('eight that answer at once, with uuid and application', async () => {
  const bench = await setUp({ can: { nodes: Array.from({ length: 8 }, () => ({})) } });
  const { nodes, notes } = await query(bench);
  expect([nodes.length, notes]).toEqual([8, []]);
  for (const { uuid, application } of nodes)
    expect([uuid, application]).toEqual([expect.stringMatching(/^[0-9a-f]{12}$/), 'klipper']);
});

test('one query is sent, and no node is given an id', async () => {
  const bench = await setUp({ can: { nodes: [{}, { runs: 'katapult' }] } });
  const heard: string[] = [];
  (await bench.can.open('can0')).onFrame(({ id, data }) =>
    heard.push(`${id.toString(16)}#${Buffer.from(data).toString('hex')}`),
  );
  await query(bench);
  expect(heard.filter((frame) => !frame.startsWith('3f1'))).toEqual(['3f0#00']);
  expect(bench.can.nodes.map(({ admin }) => admin.nodeId)).toEqual([undefined, undefined]);
});

describe('one at a time', () => {
  test('a second query of the same bus is refused and sends nothing; afterwards the bus is free', async () => {
    const bench = await setUp({ can: { nodes: [{ uuid: UUID }] } });
    let queries = 0;
    (await bench.can.open('can0')).onFrame(({ id }) => {
      if (id === 0x3f0) queries += 1;
    });
    const [first, second] = await Promise.allSettled([query(bench), query(bench)]);
    expect(first.status).toBe('fulfilled');
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'busy', place: lockOfBus('can0') } });
    expect(queries).toBe(1);
    expect((await query(bench)).nodes).toHaveLength(1);
  });

  test('a job that has the bus keeps queries away from it', async () => {
    const bench = await setUp({ can: { nodes: [{}] } });
    const release = await bench.locks.acquire(lockOfBus('can0'));
    await expect(query(bench)).rejects.toMatchObject({ code: 'busy' });
    await release();
    expect((await query(bench)).nodes).toHaveLength(1);
  });

  test('another bus is another bus, and a refused query leaves no lock', async () => {
    const bench = await setUp({ can: { nodes: [{}] } });
    const release = await bench.locks.acquire(lockOfBus('can1'));
    bench.printer.reading = { printing: true };
    await expect(query(bench)).rejects.toMatchObject({ code: 'gate-closed' });
    bench.printer.reading = {};
    expect((await query(bench)).nodes).toHaveLength(1);
    await release();
  });
});

describe('bridges', () => {
  const UID = '000102030405060708090A0B';
  const OWN = '90a4ae022dfc';
  const asBridge = { transport: 'usb bridge', bridge: true, busPath: '1-1.2', application: 'klipper' };
  const U2C = {
    busPath: '1-1.4',
    vendorId: 0x1d50,
    productId: 0x606f,
    manufacturer: 'bytewerk',
    product: 'candleLight USB to CAN adapter',
    // A candleLight's serial is made from its chip's id too.
    serial: '39001B000C51313339373836',
  };

  test('it is a node of its bus although it has an id and does not answer', async () => {
    const bench = await setUp({ state: 'bridge', uid: UID, can: { nodes: [{ uuid: UUID }] } });
    const { nodes, usb, notes } = await query(bench);
    expect([nodes, usb, notes]).toMatchObject([
      [
        { uuid: UUID, ...ON_WIRE },
        { uuid: OWN, name: null, assigned: true, ...asBridge },
      ],
      [],
      [],
    ]);
  });

  test('its section and version are those of printer.cfg', async () => {
    const mcu = { ...EBB, section: 'mcu', uuid: OWN };
    const bench = await setUp({ state: 'bridge', uid: UID, can: {} }, [mcu]);
    expect((await query(bench)).nodes).toEqual([
      { uuid: OWN, name: 'mcu', version: EBB.version, assigned: true, ...asBridge },
    ]);
  });

  test('not identified, it is there all the same: no note calls it silent', async () => {
    const mcu = { ...EBB, section: 'mcu', uuid: OWN, version: null };
    const bench = await setUp({ state: 'bridge', uid: UID, can: {} }, [mcu]);
    expect(await query(bench)).toMatchObject({ nodes: [{ name: 'mcu', ...asBridge }], notes: [] });
  });

  test('and what hangs on it; Klipper is not there to tell, the bridge answers', async () => {
    const bench = await setUp({ state: 'bridge', uid: UID, can: { nodes: [{ uuid: UUID }] } }, [EBB]);
    await bench.printer.stopKlipper();
    await bench.pressReset();
    await bench.settle();
    const { nodes, notes } = await query(bench);
    expect(nodes).toMatchObject([
      { uuid: UUID, name: null, ...ON_WIRE },
      { uuid: OWN, name: null, assigned: false, ...asBridge },
    ]);
    expect(notes).toEqual([expect.stringContaining('"disconnected"')]);
  });

  test('an adapter with the ids of a bridge is no node', async () => {
    const bench = await setUp({ can: { nodes: [{ uuid: UUID }] } });
    bench.addDevice(U2C);
    const { nodes, usb, notes } = await query(bench);
    expect([nodes.map(({ uuid }) => uuid), usb.map(({ busPath }) => busPath), notes]).toEqual([
      [UUID],
      ['1-1.2'],
      [],
    ]);
  });

  describe('several that can carry the interface', () => {
    const both = async (known: readonly PrinterCanNode[] = [], stopped = false) => {
      const bench = await setUp({ state: 'bridge', uid: UID, can: { nodes: [{ uuid: UUID }] } }, known);
      bench.addDevice(U2C);
      if (stopped) {
        await bench.printer.stopKlipper();
        await bench.pressReset();
        await bench.settle();
      }
      return query(bench);
    };
    test('nothing says which: it is said, and none is taken for it', async () => {
      expect(await both()).toMatchObject({
        nodes: [{ uuid: UUID }],
        usb: [{ busPath: '1-1.2', bridge: true, uuid: OWN }],
        notes: [expect.stringMatching(/^Several on USB can be what carries can0 \(1-1\.2, 1-1\.4\)/)],
      });
    });
    test('printer.cfg says which', async () => {
      const { nodes, notes } = await both([{ ...EBB, section: 'mcu', uuid: OWN }]);
      expect([nodes, notes]).toMatchObject([[{ uuid: UUID }, { uuid: OWN, ...asBridge }], []]);
    });
    test('its answer says which: a bridge answers its own interface only', async () => {
      const { nodes, notes } = await both([], true);
      expect(nodes).toMatchObject([{ uuid: UUID }, { uuid: OWN, assigned: false, ...asBridge }]);
      expect(notes).toHaveLength(1);
    });
    test('printer.cfg has it on another interface: it is not the one', async () => {
      const { nodes, notes } = await both([{ ...EBB, section: 'mcu', uuid: OWN, interfaceName: 'can1' }]);
      expect([nodes.map(({ uuid }) => uuid), notes]).toEqual([[UUID], []]);
    });
  });

  test.each([
    ['no serial of an STM32', { serial: 'E6614103E7174D2A' }],
    ['a serial of its owner', { serial: 'my-toolhead' }],
  ])('a Klipper on USB with %s has no uuid that could be told', async (_what, over) => {
    const bench = await setUp({ can: { nodes: [{}] } });
    bench.addDevice({
      busPath: '1-1.4',
      vendorId: 0x1d50,
      productId: 0x614e,
      manufacturer: 'Klipper',
      ...over,
    });
    expect((await query(bench)).usb.map(({ busPath }) => busPath)).toEqual(['1-1.2']);
  });

  test('a host without USB has its bus by other means', async () => {
    const bench = await setUp({ can: { nodes: [{}] } });
    bench.usb.list = async () => {
      throw new OctopusError('no-hardware', 'this host has no USB', { advice: 'none' });
    };
    expect(await query(bench)).toMatchObject({ nodes: [{}], usb: [], notes: [] });
    bench.usb.list = async () => {
      throw new TypeError('a fault of ours');
    };
    await expect(query(bench)).rejects.toThrow('a fault of ours');
  });
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
    ['nobody acknowledges', [], [], /^can0: the query was not acknowledged/],
    ['nobody answers', [{ nodeId: 4 }], [], /^No node: one that Klipper has given an id keeps silent/],
    [
      'another uuid than that of printer.cfg, for a board that was replaced',
      [{ uuid: 'aa0000000001' }],
      [{ ...EBB, version: null }],
      /^11aa22bb33cc \[mcu ebb\] did not answer.*: aa0000000001 answered instead and is in no section\. If the board was replaced: canbus_uuid: aa0000000001 into \[mcu ebb\]\.$/,
    ],
    [
      'several strangers',
      [{ uuid: 'aa0000000001' }, { uuid: 'aa0000000002' }],
      [{ ...EBB, version: null }],
      /aa0000000001, aa0000000002 answered instead and are in no section\..*the new uuid into \[mcu ebb\]/,
    ],
    [
      'a node of printer.cfg that is on USB',
      [{ nodeId: 4 }],
      [{ ...EBB, uuid: '90a4ae022dfc', version: null }],
      /^90a4ae022dfc \[mcu ebb\] did not answer.*it is on USB 1-1\.2 as klipper, not on CAN\.$/,
    ],
    [
      'one uuid in two sections',
      [{ nodeId: 4 }],
      [EBB, { ...EBB, section: 'mcu two' }],
      /^11aa22bb33cc stands in \[mcu ebb\] and \[mcu two\] of printer\.cfg/,
    ],
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
      const bench = await setUp({ can: { nodes: [{}] } });
      bench.printer.reading = { state };
      expect((await query(bench)).notes).toEqual([expect.stringContaining(`"${state}"`)]);
    },
  );

  test('without a printer nothing is said of it, and its configuration is not asked for', async () => {
    const bench = await setUp({ can: { nodes: [{ uuid: UUID }] } }, [EBB]);
    bench.printer.reading = { state: 'absent' };
    expect(await query(bench)).toMatchObject({ nodes: [{ uuid: UUID, name: null }], notes: [] });
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
    void bench.clock.sleep(100).then(() => act(bench));
    await expect(query(bench)).rejects.toMatchObject({ code: 'device-gone', place: 'can0' });
    expect(bench.clock.now() - began).toBeLessThan(110);
  });

  test('cancelled: it ends at once, and the interface is free', async () => {
    const bench = await setUp({ can: { nodes: [{}] } });
    const cancel = new AbortController();
    const began = bench.clock.now();
    void bench.clock.sleep(100).then(() => cancel.abort());
    let open = 0;
    const can: CanHost = {
      open: async (name) => {
        const bus = await bench.can.open(name);
        open += 1;
        return new Proxy(bus, {
          get: (target, key) => {
            if (key === 'close') open -= 1;
            const value: unknown = Reflect.get(target, key);
            return typeof value === 'function' ? value.bind(target) : value;
          },
        });
      },
    };
    await expect(query(bench, {}, { can, signal: cancel.signal })).rejects.toMatchObject({
      name: 'AbortError',
    });
    expect([open, bench.clock.now()]).toEqual([0, expect.closeTo(began + 100, 0)]);
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
