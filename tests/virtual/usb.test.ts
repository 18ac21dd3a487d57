import { expect, test } from '@jest/globals';
import type { ControlSetup } from '../../src/ports/usb.ts';
import { createBench, type BenchOptions, type VirtualBench } from '../../src/virtual/bench.ts';

const GETSTATUS: ControlSetup = { type: 'class', recipient: 'interface', request: 3, value: 0, index: 0 };

async function romBench(options: BenchOptions = {}) {
  const bench = await createBench({ lines: { jumperFitted: true }, ...options });
  const [info] = await bench.usb.list();
  if (info === undefined) throw new Error('the ROM is on the bus');
  return { bench, info };
}

function record(bench: VirtualBench): string[] {
  const log: string[] = [];
  bench.usb.onChange(({ kind, device }) =>
    log.push(
      `${kind} ${device.productId.toString(16)} #${device.deviceNumber} ${bench.clock.now().toFixed(0)}`,
    ),
  );
  return log;
}

test.each([
  ['typical', 20, 100 + 5 + 100 + 130],
  ['worst', 256, 100 + 5 + 400 + 201],
] as const)(
  'entering the ROM, %s times: leaves after %d ms, found after %d ms',
  async (times, left, found) => {
    const bench = await createBench({ times });
    const log = record(bench);
    const start = bench.clock.now();
    bench.lines.drive('nrst', 'low');
    bench.lines.drive('boot0', 'high');
    await bench.clock.sleep(100);
    bench.lines.drive('nrst', 'floating');
    await bench.clock.sleep(5000);
    const at = log.map((line) => Number(line.split(' ').at(-1)) - start);
    expect(log.map((line) => line.replace(/ \d+$/, ''))).toEqual(['left 614e #3', 'arrived df11 #4']);
    expect(Math.abs((at[0] ?? 0) - left)).toBeLessThan(3);
    expect(Math.abs((at[1] ?? 0) - found)).toBeLessThan(3);
  },
);

test('without udevd there are no events and the list is right', async () => {
  const bench = await createBench({ usbEvents: false });
  const log = record(bench);
  bench.unplug();
  await bench.clock.sleep(1000);
  expect([log, await bench.usb.list()]).toEqual([[], []]);
});

test('after an arrival the tty comes late, and udev later still', async () => {
  const bench = await createBench();
  bench.unplug();
  await bench.clock.sleep(1000);
  const seen: (string | undefined)[] = [];
  bench.usb.onChange(({ device }) => seen.push(device.ttyPath));
  bench.replug();
  await bench.clock.sleep(130 + 6);
  expect(seen).toEqual([undefined]);
  expect((await bench.usb.list())[0]?.ttyPath).toBe('/dev/ttyACM0');
  await bench.printer.stopKlipper();
  await bench.serial.open('/dev/ttyACM0');
});

test('one opener at a time, no cdc device, and none that has left', async () => {
  const { bench, info } = await romBench();
  const dfu = await bench.usb.openDfu(info);
  await expect(bench.usb.openDfu(info)).rejects.toMatchObject({ code: 'busy' });
  await dfu.close();
  await (await bench.usb.openDfu(info)).close();
  bench.unplug();
  await bench.clock.sleep(1000);
  await expect(bench.usb.openDfu(info)).rejects.toMatchObject({ code: 'device-gone' });
  const klipper = await createBench();
  const [cdc] = await klipper.usb.list();
  if (cdc !== undefined) {
    await expect(klipper.usb.openDfu(cdc)).rejects.toMatchObject({ code: 'busy' });
  }
});

test('udev must have set the permissions first', async () => {
  const { bench } = await romBench();
  bench.unplug();
  await bench.clock.sleep(1000);
  bench.replug();
  await bench.clock.sleep(131);
  const [info] = await bench.usb.list();
  if (info === undefined) throw new Error('the ROM is on the bus');
  await expect(bench.usb.openDfu(info)).rejects.toMatchObject({ code: 'no-hardware' });
  await bench.clock.sleep(100);
  await (await bench.usb.openDfu(info)).close();
});

test('planned faults: stall, time-out, unplug, power cut', async () => {
  for (const fault of ['unplug', 'power-cut'] as const) {
    const { bench, info } = await romBench();
    const dfu = await bench.usb.openDfu(info);
    bench.faults.beforeTransfer = (n) =>
      n === 2 ? 'stall' : n === 3 ? 'timeout' : n === 4 ? fault : undefined;
    expect(await dfu.controlIn(GETSTATUS, 6, 1000)).toBeInstanceOf(Uint8Array);
    expect(await dfu.controlIn(GETSTATUS, 6, 1000)).toBe('stall');
    const before = bench.clock.now();
    expect(await dfu.controlIn(GETSTATUS, 6, 1000)).toBe('timeout');
    expect(bench.clock.now() - before).toBeCloseTo(1000);
    await expect(dfu.controlIn(GETSTATUS, 6, 1000)).rejects.toMatchObject({ code: 'device-gone' });
    await expect(dfu.controlIn(GETSTATUS, 6, 1000)).rejects.toMatchObject({ code: 'device-gone' });
    expect(bench.usb.transferCount).toEqual({ getstatus: 5 });
    expect(bench.board.powered).toBe(fault === 'unplug');
  }
});

test('a board fed by the cable loses its power with it', async () => {
  const bench = await createBench({ busPowered: true });
  bench.unplug();
  expect(bench.board.running.kind).toBe('off');
  bench.replug();
  await bench.settle();
  expect(bench.board.klipper).toBeDefined();
});

test('devices of others stand beside the board', async () => {
  const bench = await createBench({
    boards: [
      { uid: '29002c001151383437303738', busPath: '1-1.4', lines: { boot0Pin: 'gpio20', nrstPin: 'gpio21' } },
    ],
  });
  const remove = bench.addDevice({ busPath: '1-1.5', vendorId: 0x0483, productId: 0xdf11 });
  await bench.clock.sleep(1000);
  const serials = (await bench.usb.list()).map(({ busPath, serial }) => `${busPath} ${serial}`);
  expect(serials.sort()).toEqual([
    '1-1.2 29002C001151383437303738',
    '1-1.4 29002C001151383437303738',
    '1-1.5 0001',
  ]);
  remove();
  await bench.clock.sleep(1000);
  expect(await bench.usb.list()).toHaveLength(2);
});

test('a lost answer: the chip did it, the host waits in vain', async () => {
  const { bench, info } = await romBench();
  const dfu = await bench.usb.openDfu(info);
  bench.faults.beforeTransfer = (n) => (n === 1 ? 'lost-answer' : undefined);
  // CLRSTATUS ends the error of a cold start, whether or not the host hears of it.
  const clear = { ...GETSTATUS, request: 4 };
  expect(await dfu.controlOut(clear, new Uint8Array(0), 500)).toBe('timeout');
  const status = await dfu.controlIn(GETSTATUS, 6, 1000);
  expect(typeof status === 'string' ? status : status[4]).toBe(2);
});

test('a request outlasts its time-out, and the next one waits until the chip is done', async () => {
  const { bench, info } = await romBench();
  const dfu = await bench.usb.openDfu(info);
  await dfu.controlOut({ ...GETSTATUS, request: 4 }, new Uint8Array(0), 1000);
  const erase = Uint8Array.of(0x41, 0, 0, 2, 8);
  expect(await dfu.controlOut({ ...GETSTATUS, request: 1 }, erase, 1000)).toBe('ok');
  await dfu.controlIn(GETSTATUS, 6, 1000);
  expect(await dfu.controlIn(GETSTATUS, 6, 100)).toBe('timeout');
  const before = bench.clock.now();
  expect(await dfu.controlIn(GETSTATUS, 6, 30_000)).toBeInstanceOf(Uint8Array);
  expect(bench.clock.now() - before).toBeGreaterThan(500);
  expect(bench.flash.peek(0x0802_0000, 16)).toEqual(new Uint8Array(16).fill(0xff));
});

test('a doubled request: the chip answers twice, and the second answer is taken', async () => {
  const { bench, info } = await romBench();
  const dfu = await bench.usb.openDfu(info);
  // GETSTATUS in dfuERROR changes nothing, a DNLOAD in dfuDNLOAD-SYNC is refused.
  await dfu.controlOut({ ...GETSTATUS, request: 4 }, new Uint8Array(0), 1000);
  bench.faults.beforeTransfer = () => 'doubled';
  const setAddress = Uint8Array.of(0x21, 0, 0, 0, 8);
  expect(await dfu.controlOut({ ...GETSTATUS, request: 1 }, setAddress, 1000)).toBe('stall');
});

test('a flipped answer has one wrong bit; what the host sends is not flipped', async () => {
  const { bench, info } = await romBench();
  const dfu = await bench.usb.openDfu(info);
  const plain = await dfu.controlIn(GETSTATUS, 6, 1000);
  bench.faults.beforeTransfer = () => 'flipped';
  const flipped = await dfu.controlIn(GETSTATUS, 6, 1000);
  if (typeof plain === 'string' || typeof flipped === 'string') throw new Error('no answer');
  const wrong = [...plain].map((byte, at) => byte ^ (flipped[at] ?? 0));
  expect(wrong).toEqual([0, 0, 0, 4, 0, 0]);
  expect(await dfu.controlOut({ ...GETSTATUS, request: 4 }, new Uint8Array(0), 1000)).toBe('ok');
});

test.each([
  [400, 1000, 'an answer'],
  [1000, 1000, 'timeout'],
] as const)(
  '%d ms late where %d ms are waited: %s, and the next one waits for it',
  async (lateMs, timeoutMs, expected) => {
    const { bench, info } = await romBench();
    const dfu = await bench.usb.openDfu(info);
    bench.faults.beforeTransfer = (n) => (n === 1 ? { lateMs } : undefined);
    const began = bench.clock.now();
    const [first] = await Promise.all([
      dfu.controlIn(GETSTATUS, 6, timeoutMs),
      dfu
        .controlIn(GETSTATUS, 6, timeoutMs)
        .then(() => expect(bench.clock.now() - began).toBeGreaterThanOrEqual(lateMs)),
    ]);
    expect(typeof first === 'string' ? first : 'an answer').toBe(expected);
  },
);
