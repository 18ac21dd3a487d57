// The USB adapter over a tree and a native layer that are made up: what is told apart, and what is given back.
import { afterEach, expect, test } from '@jest/globals';
import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NativeDevice, NativeUsb } from '../../src/hardware/usb-native.ts';
import { HardwareUsb } from '../../src/hardware/usb.ts';
import type { UsbChange } from '../../src/ports/usb.ts';
import { cutTrees, fakeTree, plant } from './fake-tree.ts';

afterEach(cutTrees);

const ROM = {
  'sys/1-1.2/devnum': '7\n',
  'sys/1-1.2/idVendor': '0483\n',
  'sys/1-1.2/idProduct': 'df11\n',
  'sys/1-1.2/bcdDevice': '2200\n',
  'dev/001/007': '',
};
const GETSTATUS = { type: 'class', recipient: 'interface', request: 3, value: 0, index: 0 } as const;

function setUp(files: Readonly<Record<string, string>> = ROM, native: Partial<NativeDevice> = {}) {
  const root = fakeTree({ 'sys/usb1/devnum': '1\n', ...files });
  const done: string[] = [];
  const note = (what: string) => async () => void done.push(what);
  const device: NativeDevice = {
    vendorId: 0x0483,
    productId: 0xdf11,
    bus: '001',
    address: 7,
    open: note('open'),
    close: note('close'),
    claimInterface: note('claim'),
    releaseInterface: note('release'),
    selectAlternateInterface: note('alternate'),
    nativeControlTransferIn: async (_setup, timeout, length) => {
      done.push(`in ${length} ${timeout}`);
      return new Uint8Array(length);
    },
    nativeControlTransferOut: async (_setup, timeout, data) => {
      done.push(`out ${data.length} ${timeout}`);
      return data.length;
    },
    ...native,
  };
  let fire: () => void = () => {};
  class Emitter {
    async addAttach(callback: () => void) {
      fire = callback;
      done.push('listen');
    }
    async addDetach() {}
    async removeAttach() {
      done.push('deaf');
    }
    async removeDetach() {}
  }
  const load = async (): Promise<NativeUsb> => ({ nativeGetDevices: async () => [device], Emitter });
  const bus = new HardwareUsb({
    sysfs: join(root, 'sys'),
    nodes: join(root, 'dev'),
    proc: join(root, 'proc'),
    load,
    libc: async () => 'koffi does not load',
  });
  return { root, bus, done, fire: () => fire() };
}

async function romOf(bus: HardwareUsb) {
  const [info] = await bus.list();
  if (info === undefined) throw new Error('the device is in the tree');
  return info;
}

test('opened, claimed with alternate setting 0, asked, released before it is closed', async () => {
  const { bus, done } = setUp();
  const device = await bus.openDfu(await romOf(bus));
  expect(await device.controlIn(GETSTATUS, 6, 1234)).toEqual(new Uint8Array(6));
  expect(await device.controlOut(GETSTATUS, new Uint8Array(0), 99)).toBe('ok');
  await device.close();
  await device.close();
  expect(done).toEqual(['open', 'claim', 'alternate', 'in 6 1234', 'out 0 99', 'release', 'close']);
});

test.each([
  ['endpoint stalled', 'stall'],
  ['transfer was cancelled', 'timeout'],
  ['hardware fault or protocol violation', 'timeout'],
])('"%s" is the answer %s', async (text, answer) => {
  const fail = async (): Promise<never> => {
    throw Object.assign(new Error(text), { code: 'GenericFailure' });
  };
  const { bus } = setUp(ROM, { nativeControlTransferIn: fail, nativeControlTransferOut: fail });
  const device = await bus.openDfu(await romOf(bus));
  expect(await device.controlIn(GETSTATUS, 6, 10)).toBe(answer);
  expect(await device.controlOut(GETSTATUS, Uint8Array.of(1), 10)).toBe(answer);
});

test('several at once take turns: the package would carry them out in threads of its own', async () => {
  let underWay = 0;
  const order: number[] = [];
  const slow = async <T>(length: number, answer: T): Promise<T> => {
    expect(++underWay).toBe(1);
    await sleep(length);
    order.push(length);
    underWay -= 1;
    return answer;
  };
  const { bus } = setUp(ROM, {
    nativeControlTransferIn: (_setup, _timeout, length) => slow(length, new Uint8Array(length)),
    nativeControlTransferOut: (_setup, _timeout, data) => slow(data.length, data.length),
  });
  const device = await bus.openDfu(await romOf(bus));
  const data = new Uint8Array(20);
  const calls = [device.controlIn(GETSTATUS, 40, 9), device.controlOut(GETSTATUS, data, 9)];
  expect((await Promise.all([...calls, device.controlIn(GETSTATUS, 6, 9)])).map(String)).toHaveLength(3);
  expect(order).toEqual([40, 20, 6]);
});

test('a time-out takes those behind it along, and nobody after it', async () => {
  let asked = 0;
  const { bus } = setUp(ROM, {
    nativeControlTransferIn: async (_setup, _timeout, length) => {
      asked += 1;
      await sleep(10);
      if (asked === 1) throw new Error('transfer was cancelled');
      return new Uint8Array(length);
    },
  });
  const device = await bus.openDfu(await romOf(bus));
  const ask = () => device.controlIn(GETSTATUS, 6, 10);
  expect(await Promise.all([ask(), ask(), ask()])).toEqual(['timeout', 'timeout', 'timeout']);
  expect(asked).toBe(1);
  expect(await ask()).toHaveLength(6);
});

test.each(['device disconnected', 'hardware fault or protocol violation'])(
  '"%s" of a device that has left is its end',
  async (text) => {
    const { bus, root } = setUp(ROM, {
      nativeControlTransferIn: async () => {
        rmSync(join(root, 'sys/1-1.2'), { recursive: true });
        throw new Error(text);
      },
    });
    const device = await bus.openDfu(await romOf(bus));
    await expect(device.controlIn(GETSTATUS, 6, 10)).rejects.toMatchObject({
      code: 'device-gone',
      place: 'USB 1-1.2',
    });
  },
);

test('another visit at the same place is not the device that was meant', async () => {
  const { bus, root } = setUp();
  const info = await romOf(bus);
  plant(root, { 'sys/1-1.2/devnum': '8\n' });
  await expect(bus.openDfu(info)).rejects.toMatchObject({ code: 'device-gone' });
});

test('no node is not the same as no leave', async () => {
  const { bus, root } = setUp();
  const info = await romOf(bus);
  if (process.getuid?.() !== 0) {
    chmodSync(join(root, 'dev/001/007'), 0);
    await expect(bus.openDfu(info)).rejects.toMatchObject({
      code: 'no-hardware',
      message: expect.stringContaining('permission denied'),
      advice: expect.stringContaining('udev rule'),
    });
  }
  rmSync(join(root, 'dev/001/007'));
  await expect(bus.openDfu(info)).rejects.toMatchObject({
    code: 'no-hardware',
    message: expect.stringContaining('001/007: no such file'),
  });
});

const BUSY = {
  claimInterface: async () => {
    throw new Error('interface is busy (errno 16)');
  },
};

test('a program that holds it is named, and nothing stays open', async () => {
  const { bus, root, done } = setUp(ROM, BUSY);
  plant(root, {
    'proc/812/fd/5': `-> ${join(root, 'dev/001/007')}`,
    'proc/812/comm': 'dfu-util\n',
    'proc/812/cmdline': 'dfu-util\0-l\0',
    'sys/1-1.2:1.0/uevent': 'DRIVER=usbfs\n',
  });
  await expect(bus.openDfu(await romOf(bus))).rejects.toMatchObject({
    code: 'busy',
    message: 'the USB device at 1-1.2 is held by process 812 (dfu-util)',
  });
  expect(done).toEqual(['open', 'release', 'close']);
});

test("so is a kernel's driver", async () => {
  const { bus } = setUp({ ...ROM, 'sys/1-1.2:1.0/uevent': 'DRIVER=cdc_acm\n' }, BUSY);
  await expect(bus.openDfu(await romOf(bus))).rejects.toMatchObject({
    code: 'busy',
    message: "the USB device at 1-1.2 is held by the kernel's driver cdc_acm",
  });
});

test('changes are seen by an event at once, and without one within a moment', async () => {
  const { bus, root, fire, done } = setUp();
  const heard: UsbChange[] = [];
  const stop = bus.onChange((change) => heard.push(change));
  await sleep(50);
  plant(root, { 'sys/1-1.2/devnum': '8\n' });
  fire();
  await sleep(50);
  expect(heard.map(({ kind, device }) => [kind, device.deviceNumber])).toEqual([
    ['left', 7],
    ['arrived', 8],
  ]);
  rmSync(join(root, 'sys/1-1.2'), { recursive: true });
  while (heard.length < 3) await sleep(20);
  expect(heard[2]).toMatchObject({ kind: 'left', device: { deviceNumber: 8 } });
  stop();
  await sleep(10);
  expect(done).toEqual(['listen', 'deaf']);
});

test('without USB nobody is listened to', async () => {
  const { bus, root, done } = setUp();
  rmSync(join(root, 'sys'), { recursive: true });
  bus.onChange(() => {})();
  await sleep(10);
  expect(done).toEqual([]);
});
