// CAN: interfaces as sysfs shows them, and the adapter over the package socketcan with a stand-in for it.
import { afterEach, expect, test } from '@jest/globals';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { requireUp } from '../../src/hardware/can-interface.ts';
import { SocketcanHost, type Socketcan } from '../../src/hardware/can-socketcan.ts';
import { hardwareCan } from '../../src/hardware/can.ts';
import { canContract } from '../contract/can.ts';
import { cutTrees, fakeTree, plant } from './fake-tree.ts';

afterEach(cutTrees);

const NET = {
  'can0/type': '280\n',
  'can0/flags': '0x40081\n',
  'can0/ifindex': '5\n',
  'can7/type': '280\n',
  'can7/flags': '0x40080\n',
  'can7/ifindex': '6\n',
  'eth0/type': '1\n',
  'eth0/flags': '0x1003\n',
  'eth0/ifindex': '2\n',
};

test('up, down, absent and something else are told apart', async () => {
  const net = fakeTree(NET);
  expect(await requireUp('can0', net)).toBe(5);
  await expect(requireUp('can7', net)).rejects.toMatchObject({
    code: 'no-hardware',
    message: 'can7 is down',
  });
  await expect(requireUp('can3', net)).rejects.toMatchObject({
    message: `can3 is absent: looked in ${net}`,
    advice: expect.stringContaining('CAN interfaces here: can0, can7.'),
  });
  await expect(requireUp('eth0', net)).rejects.toMatchObject({
    message: 'eth0 is a network interface, but none for CAN',
  });
  await expect(requireUp('can0', join(net, 'nowhere'))).rejects.toMatchObject({
    advice: expect.stringContaining('CAN interfaces here: none.'),
  });
});

type Message = { id: number; data: Uint8Array; ext?: boolean; rtr?: boolean; err?: boolean };

/** All channels on one wire, as the package has them. */
class Wire implements Socketcan {
  readonly channels: { hear(message: Message): void; stopped(): void }[] = [];
  isFull = false;

  createRawChannel() {
    const listeners: ((message: Message) => void)[] = [];
    const endings: (() => void)[] = [];
    let isRunning = false;
    const own = {
      hear: (message: Message) => {
        if (isRunning) for (const listener of listeners) listener(message);
      },
      stopped: () => {
        for (const listener of endings) listener();
      },
    };
    this.channels.push(own);
    return {
      addListener: (event: string, listener: (message: never) => void) => {
        if (event === 'onMessage') listeners.push(listener as (message: Message) => void);
        else endings.push(listener as () => void);
      },
      start: () => void (isRunning = true),
      stop: () => {
        if (!isRunning) throw new Error('Channel not started');
        isRunning = false;
      },
      send: ({ id, data }: { id: number; data: Buffer }) => {
        if (this.isFull) return -1;
        for (const other of this.channels) if (other !== own) other.hear({ id, data });
        return 16;
      },
    };
  }
}

canContract('socketcan, an imagined bus', async () => ({
  host: new SocketcanHost(new Wire(), fakeTree(NET)),
  up: 'can0',
  down: 'can7',
  settle: async () => {},
  dispose: async () => {},
}));

async function setUp() {
  const wire = new Wire();
  const net = fakeTree(NET);
  const bus = await new SocketcanHost(wire, net).open('can0');
  const [troubles, ids]: [string[], number[]] = [[], []];
  bus.onTrouble((trouble) => troubles.push(trouble));
  bus.onFrame(({ id }) => ids.push(id));
  const hear = (message: Message) => wire.channels[0]?.hear(message);
  return { wire, net, bus, hear, troubles, ids };
}
const FRAME = { id: 1, data: Uint8Array.of(1) };

test('a send that fails: full while the interface is up, else down or gone', async () => {
  const { wire, net, bus, troubles } = await setUp();
  wire.isFull = true;
  expect(await bus.send(FRAME)).toBe('full');
  plant(net, { 'can0/flags': '0x40080\n' });
  await expect(bus.send(FRAME)).rejects.toMatchObject({ code: 'no-device', message: 'can0 went down' });
  expect(troubles).toEqual(['down']);
  await expect(bus.send(FRAME)).rejects.toMatchObject({ code: 'no-device' });
  expect(troubles).toEqual(['down']);
  const other = await setUp();
  other.wire.isFull = true;
  rmSync(join(other.net, 'can0'), { recursive: true });
  await expect(other.bus.send(FRAME)).rejects.toMatchObject({ code: 'no-device', message: 'can0 is gone' });
});

test('error frames are trouble; foreign frames are nothing; a channel that stops is gone', async () => {
  const { wire, hear, troubles, ids, bus } = await setUp();
  hear({ id: 0x40, data: new Uint8Array(8), err: true });
  hear({ id: 7, data: new Uint8Array(0), ext: true });
  hear({ id: 7, data: new Uint8Array(0), rtr: true });
  hear({ id: 9, data: Uint8Array.of(1) });
  wire.channels[0]?.stopped();
  expect([troubles, ids]).toEqual([['bus-off', 'gone'], [9]]);
  await bus.close();
});

test('without the package: what is missing, and how to get it', async () => {
  await expect(new SocketcanHost('it does not load', fakeTree(NET)).open('can0')).rejects.toMatchObject({
    code: 'no-hardware',
    message: 'CAN cannot be used: it does not load',
    advice: expect.stringContaining('bin/rebuild-native'),
  });
});

test('on this machine an absent interface is said at once, by either adapter', async () => {
  for (const force of ['socketcan', undefined])
    await expect(hardwareCan({ force }).open('octabsent9')).rejects.toMatchObject({
      code: 'no-hardware',
      message: 'octabsent9 is absent: looked in /sys/class/net',
    });
});
