// Runs in the guest as root: every way in which a CAN bus can fail, from an interface that is not there to bus-off.
import { afterEach, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { askUnassigned } from '../../src/flash/canbus-query.ts';
import { hardwareCan } from '../../src/hardware/can.ts';
import { systemClock } from '../../src/hardware/clock.ts';
import { hardwareGpio } from '../../src/hardware/gpio.ts';
import type { CanBus, CanTrouble } from '../../src/ports/can.ts';
import type { Clock } from '../../src/ports/clock.ts';
import { askBench, until } from './bench-person.ts';
import { ours } from './faults-ours.ts';

const FRAME = { id: 0x123, data: Uint8Array.of(1, 2, 3) };
const kit = { can: hardwareCan(), clock: systemClock };
const ip = (...words: string[]) => String(execFileSync('ip', words, { stdio: ['ignore', 'pipe', 'pipe'] }));
const down = () => void ip('link', 'set', 'can0', 'down');
const up = (bitrate: number) => {
  down();
  ip('link', 'set', 'can0', 'up', 'type', 'can', 'bitrate', String(bitrate));
};
const UP_AGAIN = 'Set it up: sudo ip link set can0 up type can bitrate 1000000 (or the bitrate of your bus).';

const opened: CanBus[] = [];
afterEach(async () => {
  for (const bus of opened.splice(0)) await bus.close();
});
async function listen(name = 'can0') {
  const bus = await kit.can.open(name);
  opened.push(bus);
  const troubles = new Set<CanTrouble>();
  bus.onTrouble((trouble) => troubles.add(trouble));
  return { bus, troubles };
}

test('absent, no CAN interface, down: each has its own words', async () => {
  expect(await ours(kit.can.open('can9'))).toEqual({
    code: 'no-hardware',
    message: 'can9 is absent: looked in /sys/class/net',
    advice: expect.stringMatching(
      /^CAN interfaces here: (can0, vcan0|vcan0, can0)\. Check the cable, and the power of the bridge: its interface is there only while it runs\.$/,
    ),
    place: 'can9',
  });
  expect(await ours(kit.can.open('lo'))).toMatchObject({
    code: 'no-hardware',
    message: 'lo is a network interface, but none for CAN',
  });
  down();
  expect(await ours(kit.can.open('can0'))).toEqual({
    code: 'no-hardware',
    message: 'can0 is down',
    advice: UP_AGAIN,
    place: 'can0',
  });
});

test('the right bitrate and somebody who acknowledges: the node answers', async () => {
  up(1_000_000);
  const { nodes, queries, troubles } = await askUnassigned(kit, 'can0');
  expect(nodes.map(({ uuid }) => uuid)).toEqual(['0a0b0c000001']);
  // The driver lets the other socket hear what was sent.
  expect(queries).toBe(1);
  expect([...troubles]).toEqual([]);
});

test('nobody acknowledges: it is told, the queue of 10 fills (ENOBUFS), and a query says so', async () => {
  await askBench('pull');
  up(1_000_000);
  const { bus, troubles } = await listen();
  const answers: string[] = [];
  while (answers.at(-1) !== 'full' && answers.length < 100) {
    answers.push(await bus.send(FRAME));
    await sleep(5);
  }
  // Ten are with the driver (GS_MAX_TX_URBS), ten in the queue (txqueuelen), and one may be between the two.
  const taken = answers.filter((answer) => answer === 'queued').length;
  expect([20, 21]).toContain(taken);
  expect(answers.at(-1)).toBe('full');
  await until('the acknowledgement missed', () => troubles.has('no-acknowledge'));
  expect(await ours(askUnassigned(kit, 'can0'))).toEqual({
    code: 'no-device',
    message: 'the transmit queue of can0 stays full',
    advice:
      'Nobody on the bus acknowledges: look at the wires, the two terminating resistors, the power of the nodes and the bitrate, then set the interface down and up again (sudo ip link set can0 down).',
    place: 'can0',
  });
});

test('a wrong bitrate: disturbed, then bus-off, and nothing is taken for an answer', async () => {
  await askBench('plug');
  up(500_000);
  const { troubles: heard } = await listen();
  const { nodes, queries, troubles } = await askUnassigned(kit, 'can0');
  expect([nodes, queries]).toEqual([[], 0]);
  expect([...troubles].sort()).toEqual(['bus-off', 'disturbed']);
  expect([...heard].sort()).toEqual(['bus-off', 'disturbed']);
  expect(ip('-details', 'link', 'show', 'can0')).toContain('state BUS-OFF');
  up(1_000_000);
  expect((await askUnassigned(kit, 'can0')).nodes).toHaveLength(1);
});

test('set down while it is open: the query ends, who sends is told', async () => {
  up(1_000_000);
  const { bus, troubles } = await listen();
  // However slow this guest is: the bus is not silent before it is down.
  const endless: Clock = { ...systemClock, sleep: (_ms, signal) => systemClock.sleep(60_000, signal) };
  const query = ours(askUnassigned({ ...kit, clock: endless }, 'can0'));
  await sleep(100);
  down();
  expect(await query).toMatchObject({
    code: 'device-gone',
    message: 'can0 went away',
  });
  await until('it is told', () => troubles.has('down'));
  expect(await ours(bus.send(FRAME))).toEqual({
    code: 'no-device',
    message: 'can0 went down',
    advice: UP_AGAIN,
    place: 'can0',
  });
});

test.each([
  ['can0', 'its adapter is pulled'],
  ['vcan0', 'it is deleted'],
])('%s is removed while it is open: %s', async (name) => {
  if (name === 'can0') up(1_000_000);
  const { bus, troubles } = await listen(name);
  if (name === 'can0') pullAdapter();
  else ip('link', 'del', name);
  await until('it is told', () => troubles.has('gone') || troubles.has('down'));
  const gone = {
    code: 'no-device',
    message: `${name} is gone`,
    advice: 'Check the cable; the interface of a USB-CAN bridge is there only while its board runs.',
    place: name,
  };
  expect([...troubles]).toEqual(['gone']);
  expect(await ours(bus.send(FRAME))).toEqual(gone);
  expect(await ours(kit.can.open(name))).toMatchObject({ code: 'no-hardware' });
});

test('without the package socketcan, asked for: what is missing, and how to get it', async () => {
  ip('link', 'add', 'dev', 'vcan1', 'type', 'vcan');
  ip('link', 'set', 'vcan1', 'up');
  const other = hardwareCan({ force: 'socketcan' });
  if (existsSync('node_modules/socketcan')) await (await other.open('vcan1')).close();
  else
    expect(await ours(other.open('vcan1'))).toMatchObject({
      code: 'no-hardware',
      message: expect.stringMatching(/^CAN cannot be used: the package socketcan does not load/),
      advice: expect.stringContaining('bin/rebuild-native'),
    });
});

test('a computer without GPIO lines: where it was looked for', async () => {
  expect(await ours(hardwareGpio().open({ boot0: 'gpio26', nrst: 'gpio19' }))).toMatchObject({
    code: 'no-hardware',
    message: expect.stringContaining('this host has no GPIO lines: looked for '),
    advice: expect.stringContaining('ls /dev/gpiochip*'),
  });
});

function pullAdapter(): void {
  const root = '/sys/bus/usb/devices';
  const own = readdirSync(root).find(
    (name) =>
      existsSync(`${root}/${name}/idProduct`) &&
      readFileSync(`${root}/${name}/idProduct`, 'utf8').trim() === '606f',
  );
  writeFileSync(`${root}/${own ?? ''}/authorized`, '0');
}
