// Who holds a device node, in a /proc made by hand, and in this machine's own.
import { afterEach, expect, test } from '@jest/globals';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { sayHolders, whoHolds } from '../../src/hardware/who-holds.ts';
import { cutTrees, fakeTree } from './fake-tree.ts';

afterEach(cutTrees);

test('programs by their names, scripts of an interpreter too; others are left out', async () => {
  const root = fakeTree({
    'dev/ttyACM0': '',
    'dev/by-id': '-> ttyACM0',
    'proc/self/comm': 'x',
    'proc/9/comm': 'cat\n',
    'proc/812/comm': 'python\n',
    'proc/812/cmdline': '/home/pi/klippy-env/bin/python\0/home/pi/klipper/klippy/klippy.py\0printer.cfg\0',
    'proc/900/comm': 'evil\u001b[2J\n',
    'proc/950/comm': 'python3\n',
    'proc/950/cmdline': 'python3\0-\0',
    'proc/960/comm': 'MainThread\n',
    'proc/960/cmdline': '/opt/node/bin/node\0--no-warnings\0/opt/octopus/src/main.ts\0',
  });
  const node = join(root, 'dev/ttyACM0');
  for (const [pid, fd] of Object.entries({ 9: '1', 812: '11', 900: '3', 950: '4', 960: '5' })) {
    const { plant } = await import('./fake-tree.ts');
    plant(root, { [`proc/${pid}/fd/${fd}`]: pid === '9' ? '-> /dev/null' : `-> ${node}` });
  }
  const holders = await whoHolds(join(root, 'dev/by-id'), join(root, 'proc'));
  expect(holders.toSorted((a, b) => a.pid - b.pid)).toEqual([
    { pid: 812, name: 'python klippy.py' },
    { pid: 900, name: 'evil?[2J' },
    { pid: 950, name: 'python3' },
    { pid: 960, name: 'node main.ts' },
  ]);
  expect(sayHolders(holders.slice(0, 1))).toMatch(/^process \d+ \(.+\)$/);
  const own = { pid: process.pid, name: 'node main.ts' };
  expect(sayHolders([own])).toBe(`process ${process.pid} (node main.ts)`);
  expect(sayHolders([own, { pid: 1, name: 'init' }])).toBe('process 1 (init)');
  expect(sayHolders([])).toBe('another program that this user cannot see');
});

test('this process itself is found', async () => {
  const root = fakeTree({ node: '' });
  const file = await open(join(root, 'node'));
  expect((await whoHolds(join(root, 'node'))).map(({ pid }) => pid)).toEqual([process.pid]);
  await file.close();
  expect(await whoHolds(join(root, 'node'))).toEqual([]);
});
