// The virtual CAN wire against what the documents say of a real one.
import { afterEach, describe, expect, test } from '@jest/globals';
import type { CanBus, CanFrame } from '../../src/ports/can.ts';
import { createBench, type BenchOptions, type VirtualBench } from '../../src/virtual/bench.ts';
import { canUuid } from '../../src/virtual/can-uuid.ts';
import { frameBits } from '../../src/virtual/can-wire.ts';

const benches: VirtualBench[] = [];
afterEach(() => {
  for (const bench of benches.splice(0)) bench.dispose();
});

async function onBus(options: BenchOptions) {
  const bench = await createBench({ times: 'zero', ...options });
  benches.push(bench);
  const bus = await bench.can.open('can0');
  const heard: string[] = [];
  const troubles: string[] = [];
  bus.onFrame((one) => heard.push(text(one)));
  bus.onTrouble((one) => troubles.push(one));
  const ask = async (...frames: string[]) => {
    heard.length = 0;
    for (const one of frames) await bus.send(frame(one));
    await bench.clock.sleep(20);
    return [...heard];
  };
  return { bench, bus, heard, troubles, ask };
}
const text = ({ id, data }: CanFrame) => `${id.toString(16)}#${Buffer.from(data).toString('hex')}`;
const frame = (written: string): CanFrame => {
  const [id = '', bytes = ''] = written.split('#');
  return { id: Number.parseInt(id, 16), data: Uint8Array.from(Buffer.from(bytes, 'hex')) };
};
const UUID = '11aa22bb33cc';
const KLIPPER = `3f1#20${UUID}01`;
const KATAPULT = `3f1#20${UUID}11`;

describe('the interface', () => {
  const openOn = async (options: BenchOptions) => {
    const bench = await createBench({ times: 'zero', ...options });
    benches.push(bench);
    return bench.can.open('can0');
  };
  test('a bench has none by itself', async () => {
    await expect(openOn({})).rejects.toMatchObject({ code: 'no-hardware', message: 'can0 is absent' });
  });
  test('down is not absent', async () => {
    await expect(openOn({ can: { state: 'down' } })).rejects.toMatchObject({ message: 'can0 is down' });
  });
  test.each([
    ['taken down', 'down', (bench: VirtualBench) => bench.can.setLink('down')],
    ['unplugged', 'gone', (bench: VirtualBench) => bench.can.unplugAdapter()],
  ] as const)('%s while it is open', async (_story, word, act) => {
    const { bench, bus, troubles } = await onBus({ can: { nodes: [{}] } });
    act(bench);
    expect(troubles).toEqual([word]);
    await expect(bus.send(frame('3f0#00'))).rejects.toMatchObject({ code: 'no-device', place: 'can0' });
  });
});

describe('admin frames', () => {
  test.each([
    ['Klipper without an id answers', {}, [KLIPPER]],
    ['Klipper with an id does not', { nodeId: 4 }, []],
    ['Katapult answers as itself', { runs: 'katapult' }, [KATAPULT]],
    ['Katapult with an id does not', { runs: 'katapult', nodeId: 129 }, []],
    ['one repeats itself', { answerTimes: 3 }, [KLIPPER, KLIPPER, KLIPPER]],
    ['one says something else', { answer: () => [frame('3f1#20'), frame('109#7e')] }, ['3f1#20', '109#7e']],
    ['one is off', { isOff: true }, []],
  ] as const)('%s', async (_story, node, expected) => {
    const { ask } = await onBus({ can: { nodes: [{ uuid: UUID, ...node }, { nodeId: 9 }] } });
    expect(await ask('3f0#00')).toEqual(expected);
  });

  test('a late one is late', async () => {
    const { bench, ask, heard } = await onBus({ can: { nodes: [{ uuid: UUID, answerAfterMs: 1900 }] } });
    expect(await ask('3f0#00')).toEqual([]);
    await bench.clock.sleep(1885);
    expect(heard).toEqual([KLIPPER]);
  });

  test('an id ends the answers, until the node is reset', async () => {
    const { bench, ask } = await onBus({ can: { nodes: [{ uuid: UUID }, { nodeId: 9 }] } });
    expect(await ask(`3f0#01${UUID}04`, '3f0#00')).toEqual([]);
    // Katapult's commands mean nothing to it.
    expect(await ask('3f0#12', `3f0#11${UUID}00`, '3f0#00')).toEqual([]);
    bench.can.nodes[0]?.powerOff();
    expect(await ask('3f0#00')).toEqual([]);
    bench.can.nodes[0]?.powerOn();
    expect(await ask('3f0#00')).toEqual([KLIPPER]);
  });

  test('another node with its id is a conflict: Klipper shuts down and is without one', async () => {
    const { bench, ask } = await onBus({ can: { nodes: [{ uuid: UUID, nodeId: 4 }, { nodeId: 9 }] } });
    expect(await ask('3f0#0111223344556604', '3f0#00')).toEqual([KLIPPER]);
    expect(bench.can.nodes[0]?.admin.hasConflict).toBe(true);
  });

  test('Katapult: an id, and all ids cleared', async () => {
    const { ask } = await onBus({ can: { nodes: [{ uuid: UUID, runs: 'katapult' }, { nodeId: 9 }] } });
    expect(await ask(`3f0#01${UUID}04`, `3f0#02${UUID}`, '3f0#00')).toEqual([KATAPULT]);
    expect(await ask(`3f0#11${UUID}81`, '3f0#00')).toEqual([]);
    expect(await ask('3f0#12', '3f0#00')).toEqual([KATAPULT]);
  });

  test('the request for the bootloader: with an id too, and only where Katapult is', async () => {
    const nodes = [
      { uuid: UUID, nodeId: 4 },
      { uuid: '000000000001', hasKatapult: false },
    ];
    const { bench, ask } = await onBus({ can: { nodes }, timesOverride: { katapultStartMs: 100 } });
    expect(await ask(`3f0#02${UUID}`, '3f0#02000000000001', '3f0#00')).toEqual(['3f1#2000000000000101']);
    await bench.clock.sleep(100);
    expect(await ask('3f0#00')).toEqual([KATAPULT, '3f1#2000000000000101']);
  });
});

describe('the wire', () => {
  test('the longest frame takes 0.135 ms at 1 Mbit/s', () => {
    // Davis, Burns, Bril, Lukkien, "Controller Area Network (CAN) schedulability analysis": 55 + 10 s bits for s bytes.
    expect(frameBits(frame('7ff#0001020304050607'))).toBe(135);
    expect(frameBits(frame('000#'))).toBe(55);
  });

  test('of all that wait the lowest id is first, whoever came first', async () => {
    const { bench, heard } = await onBus({ can: { nodes: [{ nodeId: 4 }, { nodeId: 5 }, { nodeId: 6 }] } });
    const [a, b, c] = bench.can.nodes;
    a?.say(frame('500#01'));
    await bench.clock.sleep(0.01);
    // The wire is taken now; these three wait for its end.
    a?.say(frame('300#01'));
    b?.say(frame('200#02'));
    c?.say(frame('100#03'));
    await bench.clock.sleep(5);
    expect(heard).toEqual(['500#01', '100#03', '200#02', '300#01']);
  });

  test('many answers with one id: they collide, and all arrive in the end', async () => {
    const nodes = Array.from({ length: 8 }, () => ({}));
    const { bench, ask } = await onBus({ can: { nodes } });
    const answers = await ask('3f0#00');
    expect([...new Set(answers)].sort()).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8].map((n) => `3f1#200a0b0c00000${n}01`),
    );
    expect(Math.max(...bench.can.nodes.map((node) => node.controller.transmitErrors))).toBeGreaterThan(0);
  });

  test('two alike that answer at the same moment are heard once', async () => {
    const twin = { uuid: UUID, answerAfterMs: 1 };
    expect(await (await onBus({ can: { nodes: [twin, twin] } })).ask('3f0#00')).toEqual([KLIPPER]);
    const later = { uuid: UUID, answerAfterMs: 2 };
    expect(await (await onBus({ can: { nodes: [twin, later] } })).ask('3f0#00')).toEqual([KLIPPER, KLIPPER]);
  });

  test('nobody acknowledges: for ever the same frame, never bus-off, and the queue fills', async () => {
    const { bench, bus, troubles } = await onBus({
      can: { txQueueLength: 10, nodes: [{ isOff: true, uuid: UUID }] },
    });
    const sent: string[] = [];
    for (let n = 0; n < 21; n++) {
      sent.push(await bus.send(frame('3f0#00')));
      await bench.clock.sleep(1);
    }
    // Ten in Linux's queue, ten with the driver. Each new frame is one more try of the first.
    expect(sent).toEqual([...Array<string>(20).fill('queued'), 'full']);
    await bench.clock.sleep(10_000);
    expect(await bus.send(frame('3f0#00'))).toBe('full');
    expect(new Set(troubles)).toEqual(new Set(['no-acknowledge']));
    // Somebody comes: now it goes out, all of it.
    const heard: string[] = [];
    bus.onFrame((one) => heard.push(text(one)));
    bench.can.nodes[0]?.powerOn();
    await bench.clock.sleep(50);
    expect(heard.length).toBeGreaterThanOrEqual(20);
    expect(await bus.send(frame('3f0#00'))).toBe('queued');
  });

  test('a node with another bitrate hears nothing and destroys what it does not understand, until we are bus-off', async () => {
    const nodes = [{ uuid: UUID }, { bitrate: 500_000 }];
    const { bench, ask, troubles, bus } = await onBus({ can: { nodes } });
    expect(await ask('3f0#00')).toEqual([]);
    expect(troubles.filter((one) => one === 'disturbed')).toHaveLength(32);
    expect(troubles.at(-1)).toBe('bus-off');
    // Taken and never sent, as Linux does without a carrier; only a restart helps.
    expect(await bus.send(frame('3f0#00'))).toBe('queued');
    bench.can.nodes[1]?.powerOff();
    expect(await ask('3f0#00')).toEqual([]);
    bench.can.setLink('up');
    const again: CanBus = await bench.can.open('can0');
    const heard: string[] = [];
    again.onFrame((one) => heard.push(text(one)));
    await again.send(frame('3f0#00'));
    await bench.clock.sleep(20);
    expect(heard).toEqual([KLIPPER]);
  });

  test('one with another bitrate acknowledges nothing, and hears nothing', async () => {
    const { bench, ask, troubles } = await onBus({ can: { nodes: [{ bitrate: 500_000, disturbs: 0 }] } });
    const node = bench.can.nodes[0];
    if (node !== undefined) node.admin.receive = () => frame('3f1#');
    expect(await ask('3f0#00')).toEqual([]);
    expect(new Set(troubles)).toEqual(new Set(['no-acknowledge']));
    expect(node?.controller.waiting).toBe(0);
  });

  test('one that has become passive disturbs no more', async () => {
    const { ask } = await onBus({ can: { nodes: [{ uuid: UUID }, { bitrate: 500_000, disturbs: 10 }] } });
    expect(await ask('3f0#00')).toEqual([KLIPPER]);
  });

  test('restart-ms brings the interface back by itself', async () => {
    const nodes = [{ uuid: UUID }, { bitrate: 500_000 }];
    const { bench, ask } = await onBus({ can: { nodes, restartMs: 100 } });
    await ask('3f0#00');
    bench.can.nodes[1]?.powerOff();
    await bench.clock.sleep(100);
    expect(await ask('3f0#00')).toEqual([KLIPPER]);
  });

  test('two nodes with other bitrates that speak do not keep the wire busy for ever', async () => {
    const { bench } = await onBus({ can: { nodes: [{ nodeId: 4 }, { nodeId: 5, bitrate: 250_000 }] } });
    for (const node of bench.can.nodes) node.say(frame('300#01'));
    await bench.clock.sleep(1000);
    expect(bench.can.nodes.map((node) => node.controller.waiting)).toEqual([0, 0]);
  });
});

describe('our board as the bridge', () => {
  // klipper-katapult-dfu.md section 2(d): vectors on which Klipper's C code and Python agree.
  test.each([
    ['0E002B00135053424E363620', 'ac11f42fe5aa'],
    ['4A002E000250534E4E313120', '99196bb712d5'],
    ['000102030405060708090A0B', '90a4ae022dfc'],
    ['140016001551303531313638', '9148b84d7a2a'],
  ])('the chip %s has the uuid %s', (uid, uuid) => {
    expect(canUuid(Uint8Array.from(Buffer.from(uid, 'hex')))).toBe(uuid);
  });

  const bridge = { state: 'bridge', uid: '000102030405060708090A0B' } as const;
  const OWN = '3f1#2090a4ae022dfc01';

  test('it brings can0 along, and answers even with nobody on the wire', async () => {
    const { bench, ask, bus, troubles } = await onBus(bridge);
    // Klipper runs and has given it an id.
    expect(await ask('3f0#00')).toEqual([]);
    await bench.printer.stopKlipper();
    expect(await ask('3f0#00')).toEqual([]);
    await bench.pressReset();
    await bench.settle();
    expect(troubles).toEqual(['gone']);
    await expect(bus.send(frame('3f0#00'))).rejects.toMatchObject({ code: 'no-device' });
    const again = await bench.can.open('can0');
    const heard: string[] = [];
    again.onFrame((one) => heard.push(text(one)));
    for (let n = 0; n < 100; n++) {
      // 50 ms stuck, then what goes to the wire is discarded: the queue never stays full.
      expect(await again.send(frame('3f0#00'))).toBe('queued');
      await bench.clock.sleep(10);
    }
    expect(heard).toEqual(Array.from({ length: 100 }, () => OWN));
  });

  test('nodes and bridge answer one query; a frame to its own id never reaches the wire', async () => {
    const { bench } = await onBus({ ...bridge, can: { nodes: [{ uuid: UUID }, { nodeId: 9 }] } });
    await bench.printer.stopKlipper();
    await bench.pressReset();
    await bench.settle();
    const bus = await bench.can.open('can0');
    const heard: string[] = [];
    bus.onFrame((one) => heard.push(text(one)));
    await bus.send(frame('3f0#00'));
    await bench.clock.sleep(20);
    expect(heard).toEqual([OWN, KLIPPER]);
    await bus.send(frame('3f0#0190a4ae022dfc0a'));
    await bus.send(frame('3f0#00'));
    await bench.clock.sleep(20);
    expect(heard).toEqual([OWN, KLIPPER, KLIPPER]);
    const onWire: CanFrame[] = [];
    const node = bench.can.nodes[1];
    const plain = node?.admin.receive.bind(node.admin);
    if (node !== undefined && plain !== undefined)
      node.admin.receive = (one) => {
        onWire.push(one);
        return plain(one);
      };
    await bus.send(frame('114#01'));
    await bus.send(frame('116#02'));
    await bench.clock.sleep(20);
    expect(onWire.map(text)).toEqual(['116#02']);
  });

  test.each([
    ['held in reset', async (bench: VirtualBench) => bench.lines.button(true)],
    [
      'in the ROM',
      async (bench: VirtualBench) => {
        bench.setJumper(true);
        await bench.pressReset();
      },
    ],
    ['without power', async (bench: VirtualBench) => bench.powerCut()],
    ['unplugged', async (bench: VirtualBench) => bench.unplug()],
  ])('%s it has taken can0 with it', async (_story, act) => {
    const { bench, troubles } = await onBus({ ...bridge, times: 'typical' });
    await act(bench);
    await bench.clock.sleep(1000);
    expect(troubles).toEqual(['gone']);
    await expect(bench.can.open('can0')).rejects.toMatchObject({ message: 'can0 is absent' });
  });

  test('a board with USB firmware has none, whatever hangs on it', async () => {
    const { bench } = await onBus({ can: {} });
    await expect(bench.can.open('can1')).rejects.toMatchObject({ message: 'can1 is absent' });
  });
});
