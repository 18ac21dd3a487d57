// Katapult's driver against the virtual board's Katapult, over its serial port: a whole flash, and a fault at each frame.
import { afterEach, describe, expect, test } from '@jest/globals';
import { boardByName } from '../../src/boards/boards.ts';
import { planWrite, sectorsOf } from '../../src/firmware/plan.ts';
import { openKatapultBootloader } from '../../src/flash/katapult-bootloader.ts';
import { usbKind, waitForUsb } from '../../src/flash/watch-usb.ts';
import { kindFirmwareSettings } from '../../src/virtual/firmware-settings.ts';
import type { ByteDirection, ByteFault } from '../../src/virtual/byte-faults.ts';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import { klipperFor, setUp, type TestBench } from '../support/bench.ts';
import { hexOf } from '../support/katapult-peer.ts';

const KIB = 1024;
const rigs: TestBench[] = [];
afterEach(() => {
  for (const rig of rigs.splice(0)) rig.bench.dispose();
});

async function setUpIn(options: BenchOptions): Promise<TestBench> {
  const rig = await setUp(options);
  rigs.push(rig);
  await rig.bench.printer.stopKlipper();
  return rig;
}

/** As a person does it who has no wires: reset twice, the second time within half a second. */
async function openKatapult(rig: TestBench) {
  const { mcu } = rig.place.board;
  const { busPath } = rig.bench.board.data;
  const find = async (timeoutMs: number) =>
    waitForUsb(
      rig.kit,
      (now) =>
        now.find((device) => usbKind(device) === 'katapult' && device.busPath === busPath && device.ttyPath),
      timeoutMs,
    );
  if ((await find(0)) === undefined) {
    await rig.bench.pressReset(10);
    await rig.bench.clock.sleep(100);
    await rig.bench.pressReset(10);
  }
  const device = await find(5_000);
  if (device?.ttyPath === undefined) throw new Error('no Katapult came');
  await rig.bench.clock.sleep(100);
  const channel = await rig.kit.serial.open(device.ttyPath);
  return openKatapultBootloader(rig.kit, channel, { mcu, place: busPath, uid: null, over: 'usb' });
}

/** Everything a flash does while Katapult answers. */
async function flashThrough(rig: TestBench, image: Uint8Array): Promise<void> {
  const { mcu, applicationAddress } = rig.place.board;
  const chip = await openKatapult(rig);
  try {
    const sectors = sectorsOf(mcu.sectors, applicationAddress, image.length);
    const size = sectors.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const current = await chip.read(applicationAddress, size);
    const target = { address: applicationAddress, bytes: image };
    const plan = planWrite(target, sectors, current, 64, mcu.programWordBytes);
    await chip.write(plan, { erasing: () => {}, writing: () => {} });
    const seen = await chip.read(applicationAddress, image.length);
    if (hexOf(seen) !== hexOf(image)) throw Object.assign(new Error('differs'), { code: 'verify-failed' });
    await chip.boot(applicationAddress);
  } finally {
    await chip.close();
  }
}

async function bootsAs(rig: TestBench): Promise<string | undefined> {
  const device = await waitForUsb(
    rig.kit,
    (now) => now.find((one) => usbKind(one) === 'klipper' && one.ttyPath),
    5_000,
  );
  return device?.product;
}

describe.each([
  ['octopus-v1.1-f446', 'katapult-empty'],
  ['octopus-v1.1-f446', 'katapult'],
  ['octopus-pro-f429', 'katapult'],
  ['octopus-pro-h723', 'katapult-empty'],
  ['octopus-pro-h723', 'katapult'],
] as const)('%s, %s', (board, state) => {
  test.each([
    ['unkind', {}],
    ['kind', kindFirmwareSettings()],
  ])('read, written, read back and started; the other reading: %s', async (_name, firmware) => {
    const rig = await setUpIn({ board, state, firmware });
    const image = klipperFor(rig, { sizeBytes: 46 * KIB });
    await flashThrough(rig, image);
    expect(await bootsAs(rig)).toBe(rig.place.board.mcu.name);
    expect(hexOf(rig.bench.flash.peek(rig.place.board.applicationAddress, image.length))).toBe(hexOf(image));
  });
});

test('200 KiB on an H723, two pages: no word is programmed twice', async () => {
  const rig = await setUpIn({ board: 'octopus-pro-h723', state: 'katapult' });
  const image = klipperFor(rig, { sizeBytes: 200 * KIB });
  await flashThrough(rig, image);
  const { applicationAddress } = rig.place.board;
  expect(rig.bench.flash.hasEccError(applicationAddress, 256 * KIB)).toBe(false);
  expect(await bootsAs(rig)).toBe('stm32h723xx');
});

describe('a fault at each frame of a flash, both ways', () => {
  const { mcu, applicationAddress } = boardByName('octopus-v1.1-f446');
  /** Sixteen blocks in the first page and two in the second one: every kind of frame, and few of each. */
  const image = new Uint8Array(16 * KIB + 100).fill(0xff);
  for (let at = 0; at < 16 * 64; at++) image[at] = (at * 7) & 0x7f;
  for (let at = 16 * KIB; at < image.length; at++) image[at] = (at * 5) & 0x7f;
  const runs: readonly (readonly [number, number])[] = [
    [0, 16 * 64],
    [16 * KIB, 100],
  ];

  async function flashWith(at: number, fault: ByteFault | undefined) {
    const rig = await setUpIn({ state: 'katapult-empty' });
    const directions: ByteDirection[] = [];
    rig.bench.faults.beforeBytes = (n, direction) => {
      directions.push(direction);
      return n === at ? fault : undefined;
    };
    const attempt = async () => {
      const chip = await openKatapult(rig);
      try {
        const sectors = sectorsOf(mcu.sectors, applicationAddress, image.length);
        const current = new Uint8Array(32 * KIB).fill(0x55);
        const plan = planWrite({ address: applicationAddress, bytes: image }, sectors, current, 64, 4);
        await chip.write(plan, { erasing: () => {}, writing: () => {} });
        for (const [offset, length] of runs) {
          const seen = await chip.read(applicationAddress + offset, length);
          expect(hexOf(seen)).toBe(hexOf(image.subarray(offset, offset + length)));
        }
        await chip.boot(applicationAddress);
        return 'done';
      } catch (error) {
        return (error as { code: string }).code;
      } finally {
        await chip.close();
      }
    };
    const opened = attempt().catch((error: { code: string }) => error.code);
    return { rig, outcome: await opened, direction: directions[at - 1], count: directions.length, attempt };
  }

  const written = (rig: TestBench) =>
    expect(hexOf(rig.bench.flash.peek(applicationAddress, image.length))).toBe(hexOf(image));

  test.each(['lost', 'doubled', 'cut', 'corrupted'] as const)('%s', async (fault) => {
    const { count } = await flashWith(0, undefined);
    expect(count).toBeGreaterThan(40);
    for (let n = 1; n <= count; n += n < 30 || n > count - 4 ? 1 : 3) {
      const { rig, outcome, direction, attempt } = await flashWith(n, fault);
      const isHarmless = direction === 'in' || fault === 'lost' || fault === 'doubled';
      expect([n, direction, outcome]).toEqual([n, direction, isHarmless ? 'done' : 'katapult-wedged']);
      // By wire, or by hand: a reset, and Katapult listens again.
      if (!isHarmless) {
        await rig.bench.pressReset(10);
        await rig.bench.clock.sleep(100);
        await rig.bench.pressReset(10);
        await rig.bench.clock.sleep(500);
        expect([n, await attempt()]).toEqual([n, 'done']);
      }
      written(rig);
      rigs.pop()?.bench.dispose();
    }
  });

  test.each(['unplug', 'power-cut'] as const)('%s: device-gone, except behind COMPLETE', async (fault) => {
    const { count } = await flashWith(0, undefined);
    for (let n = 1; n <= count; n += 5) {
      const { outcome } = await flashWith(n, fault);
      expect([n, outcome]).toEqual([n, n >= count ? 'done' : 'device-gone']);
      rigs.pop()?.bench.dispose();
    }
  });
});
