// The ROM as a Bootloader: what is on its way at once, who waits for whom, and what a lost device leaves.
import { expect, test } from '@jest/globals';
import { openDfuseBootloader } from '../../src/flash/dfuse-bootloader.ts';
import type { Step } from '../../src/ports/recorder.ts';
import type { UsbDfuDevice } from '../../src/ports/usb.ts';
import { failureOf, setUp } from '../support/bench.ts';

/** A board in its ROM, through a device that notes what begins and what ends. */
async function inRom() {
  const rig = await setUp({ lines: { jumperFitted: true } });
  const { usb } = rig.kit;
  const log: string[] = [];
  let underWay = 0;
  let most = 0;
  let failures = 0;
  const noted = async <T>(name: string, work: Promise<T>): Promise<T> => {
    most = Math.max(most, ++underWay);
    log.push(name);
    try {
      return await work;
    } catch (error) {
      // Not all at once, as the port might have it.
      await rig.kit.clock.sleep(++failures * 5);
      throw error;
    } finally {
      underWay -= 1;
    }
  };
  const openDfu = async (...[info]: Parameters<typeof usb.openDfu>): Promise<UsbDfuDevice> => {
    const device = await usb.openDfu(info);
    return {
      info: device.info,
      controlOut: (setup, data, timeoutMs) =>
        noted(`${setup.type} out ${setup.request}`, device.controlOut(setup, data, timeoutMs)),
      controlIn: (setup, length, timeoutMs) =>
        noted(`${setup.type} in ${setup.request}`, device.controlIn(setup, length, timeoutMs)),
      close: async () => {
        log.push(`close ${underWay}`);
        await device.close();
      },
    };
  };
  const recorder = {
    before: async (step: Step) => {
      log.push(`record ${step.kind}`);
      await rig.kit.clock.sleep(5);
      log.push(`recorded ${step.kind}`);
    },
  };
  const [info] = await usb.list();
  if (info === undefined) throw new Error('the ROM is on the bus');
  const kit = { usb: { ...usb, openDfu }, clock: rig.kit.clock, recorder };
  const chip = await openDfuseBootloader(kit, info, rig.place.board.mcu);
  log.length = 0;
  return { rig, chip, log, underWay: () => underWay, most: () => most };
}

const SECTORS = [
  { address: 0x0800_8000, sizeBytes: 0x4000 },
  { address: 0x0800_c000, sizeBytes: 0x4000 },
];
const PLAN = {
  erase: SECTORS,
  write: [
    { address: 0x0800_8800, bytes: new Uint8Array(4096).fill(1) },
    { address: 0x0800_8000, bytes: new Uint8Array(2048).fill(2) },
  ],
};
const SILENT = { erasing: () => {}, writing: () => {} };

test('a read keeps eight blocks on their way, and is told of while the next ones are', async () => {
  const { rig, chip, most, underWay } = await inRom();
  const told: [number, number][] = [];
  const bytes = await chip.read(0x0800_0000, 20 * 2048, (done) => told.push([done, underWay()]));
  expect(bytes).toEqual(rig.bench.flash.peek(0x0800_0000, 20 * 2048));
  expect(most()).toBe(8);
  // 8 more, the last 4, the ABORT behind them.
  expect(told).toEqual([
    [8 * 2048, 8],
    [16 * 2048, 4],
    [20 * 2048, 1],
  ]);
  rig.bench.dispose();
});

test('each step is on record before it is begun, and the next one is recorded while the chip is at work', async () => {
  const { rig, chip, log } = await inRom();
  await chip.write(PLAN, SILENT);
  const steps = log.filter((line) => line.startsWith('record') || line === 'class out 1');
  expect(steps).toEqual([
    'record erase',
    'recorded erase',
    // erase
    'record erase',
    'class out 1',
    'recorded erase',
    // erase
    'record write',
    'class out 1',
    'recorded write',
    // set address, two blocks
    'record write',
    'class out 1',
    'class out 1',
    'recorded write',
    'class out 1',
    // set address, one block
    'class out 1',
    'class out 1',
  ]);
  expect([0x0800_8000, 0x0800_8800].map((at) => rig.bench.flash.peek(at, 1)[0])).toEqual([2, 1]);
  rig.bench.dispose();
});

test('erasing and writing are told in order, from nothing to all, and the chip does not wait for who hears it', async () => {
  const { rig, chip, underWay } = await inRom();
  const told: (string | number)[][] = [];
  await chip.write(PLAN, {
    erasing: (done, total) => told.push(['erase', done, total, underWay()]),
    writing: (done, total) => told.push(['write', done, total, underWay()]),
  });
  expect(told).toEqual([
    // The phase begins before its first step is on record.
    ['erase', 0, 0x8000, 0],
    ['erase', 0x4000, 0x8000, 3],
    ['erase', 0x8000, 0x8000, 3],
    ['write', 0, 6144, 3],
    ['write', 2048, 6144, 3],
    ['write', 4096, 6144, 0],
    ['write', 4096, 6144, 3],
    ['write', 6144, 6144, 0],
  ]);
  rig.bench.dispose();
});

test('a device that is lost in the middle of a series: nothing is under way when it ends', async () => {
  const { rig, chip, underWay } = await inRom();
  let count = 0;
  rig.bench.faults.beforeTransfer = () => (++count === 12 ? 'unplug' : undefined);
  expect(await failureOf(chip.read(0x0800_0000, 40 * 2048))).toMatchObject({ code: 'device-gone' });
  expect(underWay()).toBe(0);
  rig.bench.dispose();
});

test('who fails in hearing of it ends the write, and no transfer is left without somebody who waits for it', async () => {
  const { rig, chip } = await inRom();
  const failing = chip.write(PLAN, {
    erasing: () => {},
    writing: () => {
      throw new Error('deaf');
    },
  });
  await expect(failing).rejects.toThrow('deaf');
  rig.bench.unplug();
  await rig.kit.clock.sleep(20_000);
  await chip.close();
  rig.bench.dispose();
});
