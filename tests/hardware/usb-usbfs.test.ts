// Transfers straight on usbfs, over a kernel that is made up: what is asked in which order, and what each ending means.
import { afterEach, expect, test } from '@jest/globals';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HardwareUsb } from '../../src/hardware/usb.ts';
import type { UsbDfuDevice } from '../../src/ports/usb.ts';
import { cutTrees, fakeTree, plant } from './fake-tree.ts';
import { FakeUsbfs } from './fake-usbfs.ts';

const opened: UsbDfuDevice[] = [];
afterEach(async () => {
  for (const device of opened.splice(0)) await device.close();
  cutTrees();
});

const GETSTATUS = { type: 'class', recipient: 'interface', request: 3, value: 0, index: 0 } as const;
const DNLOAD = { ...GETSTATUS, request: 1 } as const;
const DESCRIPTOR = { type: 'standard', recipient: 'device', request: 6, value: 0x0100, index: 0 } as const;
const NOTHING = new Uint8Array(0);

function setUp(kernel = new FakeUsbfs()) {
  const root = fakeTree({
    'sys/usb1/devnum': '1\n',
    'sys/1-1.2/devnum': '7\n',
    'sys/1-1.2/idVendor': '0483\n',
    'sys/1-1.2/idProduct': 'df11\n',
    'sys/1-1.2/bcdDevice': '2200\n',
    'dev/001/007': '',
  });
  const bus = new HardwareUsb({
    sysfs: join(root, 'sys'),
    nodes: join(root, 'dev'),
    proc: join(root, 'proc'),
    libc: async () => kernel.libc,
    load: () => Promise.reject(new Error('the package is not needed')),
  });
  const open = async () => {
    const [info] = await bus.list();
    if (info === undefined) throw new Error('the device is in the tree');
    const device = await bus.openDfu(info);
    opened.push(device);
    kernel.asked.length = 0;
    return device;
  };
  return { root, bus, kernel, open, unplug: () => rmSync(join(root, 'sys/1-1.2'), { recursive: true }) };
}

test.each([8, 4] as const)('pointers of %i bytes: claimed, asked, released', async (pointerBytes) => {
  const kernel = new FakeUsbfs(pointerBytes);
  const { bus } = setUp(kernel);
  const [info] = await bus.list();
  const device = await bus.openDfu(info!);
  const out = device.controlOut({ ...DNLOAD, value: 0x0203, index: 0x0405 }, Uint8Array.of(1, 2, 3), 1000);
  kernel.end(0);
  expect(await out).toBe('ok');
  const into = device.controlIn(GETSTATUS, 6, 1000);
  kernel.end(0, [0, 100, 0, 0, 4, 0]);
  expect(await into).toEqual(Uint8Array.of(0, 100, 0, 0, 4, 0));
  const standard = device.controlIn(DESCRIPTOR, 64, 1000);
  kernel.end(0, [18, 1]);
  expect(await standard).toEqual(Uint8Array.of(18, 1));
  await device.close();
  await device.close();
  expect(kernel.asked).toEqual([
    'CLAIM 0',
    'SETINTERFACE 0 0',
    'SUBMIT 2101030205040300 1,2,3',
    'SUBMIT a103000000000600',
    'SUBMIT 8006000100004000',
    'RELEASE',
  ]);
  expect(kernel.isWatched).toBe(false);
  expect(kernel.memories.size).toBe(0);
});

test('several at once are in the kernel at once, and each gets its own answer', async () => {
  const { kernel, open } = setUp();
  const device = await open();
  const data = Uint8Array.of(9, 9);
  const answers = [device.controlOut(DNLOAD, data, 1000)];
  // The caller may use its buffer again.
  data.fill(0);
  const states = [device.controlIn(GETSTATUS, 6, 1000), device.controlIn(GETSTATUS, 6, 1000)];
  expect(kernel.asked).toEqual([
    'SUBMIT 2101000000000200 9,9',
    'SUBMIT a103000000000600',
    'SUBMIT a103000000000600',
  ]);
  kernel.end(0);
  kernel.end(0, [0, 0, 0, 0, 4, 0], false);
  kernel.end(0, [0, 0, 0, 0, 5, 0]);
  expect(await Promise.all(answers)).toEqual(['ok']);
  expect((await Promise.all(states)).map((bytes) => bytes[4])).toEqual([4, 5]);
});

test('a large block is given its room', async () => {
  const { kernel, open } = setUp();
  const device = await open();
  const bytes = Array.from({ length: 9000 }, (_, index) => index & 0xff);
  const answer = device.controlIn(DESCRIPTOR, 9000, 1000);
  kernel.end(0, bytes);
  expect(await answer).toEqual(Uint8Array.from(bytes));
});

test('memory is used again, however many transfers there are', async () => {
  const { kernel, open } = setUp();
  const device = await open();
  for (let n = 0; n < 20; n++) {
    const three = Array.from({ length: 3 }, () => device.controlIn(GETSTATUS, 6, 1000));
    for (let i = 0; i < 3; i++) kernel.end(0, [n, i, 0, 0, 0, 0]);
    expect((await Promise.all(three)).map((bytes) => [bytes[0], bytes[1]])).toEqual([
      [n, 0],
      [n, 1],
      [n, 2],
    ]);
  }
  expect(kernel.memories.size).toBe(3);
});

test('a STALL ends one alone', async () => {
  const { kernel, open } = setUp();
  const device = await open();
  const answers = [device.controlOut(DNLOAD, NOTHING, 1000), device.controlIn(GETSTATUS, 6, 1000)];
  kernel.end(-32);
  kernel.end(0, [0, 0, 0, 0, 10, 0]);
  expect(await Promise.all(answers)).toEqual(['stall', Uint8Array.of(0, 0, 0, 0, 10, 0)]);
});

test('a time-out takes those behind it along, the last one first, and nobody after it', async () => {
  const { kernel, open } = setUp();
  const device = await open();
  const startedAt = performance.now();
  const first = device.controlIn(GETSTATUS, 6, 200);
  const behind = [device.controlOut(DNLOAD, NOTHING, 10_000), device.controlIn(DESCRIPTOR, 18, 10)];
  expect(await first).toBe('timeout');
  expect(performance.now() - startedAt).toBeGreaterThan(195);
  expect(await Promise.all(behind)).toEqual(['timeout', 'timeout']);
  expect(kernel.asked.slice(3)).toEqual(['DISCARD 6', 'DISCARD 1', 'DISCARD 3']);
  const next = device.controlIn(GETSTATUS, 6, 1000);
  kernel.end(0, [0, 0, 0, 0, 2, 0]);
  expect((await next)[4]).toBe(2);
});

test("a time-out counts from its own turn's beginning", async () => {
  const { kernel, open } = setUp();
  const device = await open();
  const held = device.controlIn(GETSTATUS, 6, 5000);
  const behind = device.controlIn(GETSTATUS, 6, 150);
  await sleep(300);
  expect(kernel.asked).toHaveLength(2);
  kernel.end(0, [0, 0, 0, 0, 5, 0]);
  await sleep(50);
  kernel.end(0, [0, 0, 0, 0, 2, 0]);
  expect([(await held)[4], (await behind)[4]]).toEqual([5, 2]);
});

test('who waited for his turn has his time, and no more', async () => {
  const { kernel, open } = setUp();
  const device = await open();
  const answers = [device.controlIn(GETSTATUS, 6, 5000), device.controlOut(DNLOAD, NOTHING, 100)];
  await sleep(50);
  kernel.end(0, [0, 0, 0, 0, 5, 0]);
  const startedAt = performance.now();
  expect(await Promise.all(answers)).toEqual([Uint8Array.of(0, 0, 0, 0, 5, 0), 'timeout']);
  expect(performance.now() - startedAt).toBeGreaterThan(95);
  expect(kernel.asked.slice(2)).toEqual(['DISCARD 1']);
});

test('0 waits for ever', async () => {
  const { kernel, open } = setUp();
  const device = await open();
  const answer = device.controlIn(GETSTATUS, 6, 0);
  await sleep(50);
  kernel.end(0, [1, 2, 3, 4, 5, 6]);
  expect(await answer).toHaveLength(6);
});

test('held up past the time-out, with the answer there: it is taken, and the next one has its time', async () => {
  const { kernel, open } = setUp();
  const device = await open();
  const answers = [device.controlIn(GETSTATUS, 6, 50), device.controlIn(GETSTATUS, 6, 1000)];
  kernel.end(0, [0, 0, 0, 0, 4, 0], false);
  await sleep(100);
  kernel.end(0, [0, 0, 0, 0, 5, 0]);
  expect((await Promise.all(answers)).map((bytes) => bytes[4])).toEqual([4, 5]);
  expect(kernel.asked).toHaveLength(2);
});

test.each([
  ['EPROTO', -71],
  ['EILSEQ', -84],
  ['EOVERFLOW', -75],
])('%s of a device that stays is no answer, and nothing behind it is sent', async (_name, status) => {
  const { kernel, open } = setUp();
  const device = await open();
  const answers = [device.controlIn(GETSTATUS, 6, 1000), device.controlOut(DNLOAD, NOTHING, 1000)];
  kernel.end(status);
  expect(await Promise.all(answers)).toEqual(['timeout', 'timeout']);
  expect(kernel.asked.slice(2)).toEqual(['DISCARD 1']);
});

const GONE = { code: 'device-gone', message: 'the USB device at 1-1.2 is gone', place: 'USB 1-1.2' };

test('EPROTO of a device that has left is its end', async () => {
  const { kernel, open, unplug } = setUp();
  const device = await open();
  const answer = device.controlIn(GETSTATUS, 6, 1000);
  unplug();
  kernel.end(-71);
  await expect(answer).rejects.toMatchObject(GONE);
});

test.each([
  ['ENODEV', -19],
  ['ESHUTDOWN', -108],
])('%s is the end', async (_name, status) => {
  const { kernel, open } = setUp();
  const device = await open();
  const answer = device.controlIn(GETSTATUS, 6, 1000);
  kernel.end(status);
  await expect(answer).rejects.toMatchObject(GONE);
});

test('disconnected: all that was under way ends so (ENOENT without our doing), and nobody watches any more', async () => {
  const { kernel, open, unplug } = setUp();
  const device = await open();
  const answers = [1, 2, 3].map(() => device.controlIn(GETSTATUS, 6, 0));
  unplug();
  kernel.disconnect();
  for (const answer of await Promise.allSettled(answers))
    expect(answer).toMatchObject({ status: 'rejected', reason: GONE });
  kernel.tell();
  expect(kernel.isWatched).toBe(false);
  await expect(device.controlOut(DNLOAD, NOTHING, 1000)).rejects.toMatchObject(GONE);
  await device.close();
  expect(kernel.memories.size).toBe(0);
});

test('disconnected with nothing under way: the descriptor tells it for ever, so it is left alone', async () => {
  const { kernel, open } = setUp();
  await open();
  kernel.disconnect();
  expect(kernel.isWatched).toBe(false);
});

test('closed with something under way: called off', async () => {
  const { kernel, open } = setUp();
  const device = await open();
  const answers = [device.controlIn(GETSTATUS, 6, 0), device.controlIn(DESCRIPTOR, 18, 1000)];
  await device.close();
  expect(await Promise.all(answers)).toEqual(['timeout', 'timeout']);
  expect(kernel.asked.slice(2)).toEqual(['DISCARD 6', 'DISCARD 3', 'RELEASE']);
  await expect(device.controlIn(GETSTATUS, 6, 1000)).rejects.toMatchObject({ code: 'internal' });
});

test('claimed by a program (EBUSY): named, and nothing stays open', async () => {
  const { kernel, root, bus } = setUp();
  plant(root, {
    'proc/812/fd/5': `-> ${join(root, 'dev/001/007')}`,
    'proc/812/comm': 'dfu-util\n',
    'proc/812/cmdline': 'dfu-util\0-l\0',
    'sys/1-1.2:1.0/uevent': 'DRIVER=usbfs\n',
  });
  kernel.faults.set('CLAIM', 'EBUSY');
  const [info] = await bus.list();
  await expect(bus.openDfu(info!)).rejects.toMatchObject({
    code: 'busy',
    message: 'the USB device at 1-1.2 is held by process 812 (dfu-util)',
  });
  expect(kernel.memories.size).toBe(0);
});

test('refused otherwise: in the words of the system, or gone if it went', async () => {
  const { kernel, bus, unplug } = setUp();
  const [info] = await bus.list();
  kernel.faults.set('SETINTERFACE', 'EPIPE');
  await expect(bus.openDfu(info!)).rejects.toMatchObject({
    code: 'no-hardware',
    message: 'the USB device at 1-1.2 cannot be opened: EPIPE: as planned, ioctl',
  });
  kernel.libc.waitIoctl = async () => {};
  unplug();
  await expect(bus.openDfu(info!)).rejects.toMatchObject({ code: 'device-gone' });
});
