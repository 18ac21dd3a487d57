// The way into the ROM and out of it: wires that are wrong, buses that are crowded, and the rules of the two lines.
import { describe, expect, test } from '@jest/globals';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import type { LineSettings } from '../../src/virtual/lines.ts';
import {
  BOARDS,
  expectSafe,
  failureOf,
  flashBytes,
  klipperFor,
  setUp,
  TWO_BOARDS,
  type TestBench,
} from '../support/bench.ts';
import { expectUntouched, wholeFlash } from '../support/untouched.ts';

const NEW = 'v0.13.0-1-gabcdef0';
const flashIt = (rig: TestBench) => flashBytes(rig, klipperFor(rig));

/** The flash ends well, with the new firmware running and nothing left driven. */
async function expectWorks(
  options: BenchOptions,
  prepare?: (rig: TestBench) => Promise<void>,
): Promise<void> {
  const rig = await setUp(options);
  await prepare?.(rig);
  expect(await flashIt(rig)).toMatchObject({ state: 'done', verified: true, version: NEW, printer: 'ready' });
  expect(rig.bench.board.klipper?.version).toBe(NEW);
  expectSafe(rig);
  rig.bench.dispose();
}

describe.each(TWO_BOARDS)('%s: wires', (board) => {
  test.each<[string, Partial<LineSettings>, string, RegExp]>([
    ['BOOT0 wire missing', { boot0WireMissing: true }, 'no-device', /BOOT0 wire/],
    ['reset wire missing', { nrstWireMissing: true }, 'no-device', /reset wire/],
    ['both missing', { boot0WireMissing: true, nrstWireMissing: true }, 'no-device', /reset wire/],
    ['swapped', { wiresSwapped: true }, 'no-device', /swapped/],
  ])('%s', async (_name, lines, code, advice) => {
    const rig = await setUp({ board, lines });
    await expectUntouched(rig, () => flashIt(rig), { code, advice, place: /./ });
    rig.bench.dispose();
  });

  test('jumper fitted: written and verified, but no boot, and the error names the jumper', async () => {
    const rig = await setUp({ board });
    rig.bench.setJumper(true);
    const failure = await failureOf(flashIt(rig));
    expect(failure).toMatchObject({ code: 'no-boot', advice: expect.stringMatching(/jumper/) });
    expect(failure.onBoard).toMatch(/holds the new firmware/);
    expectSafe(rig);
    rig.bench.setJumper(false);
    await rig.bench.pressReset();
    await rig.bench.settle();
    expect(rig.bench.board.klipper?.version).toBe(NEW);
    rig.bench.dispose();
  });

  test('jumper fitted, and a firmware that does not show itself on USB: no success either', async () => {
    const rig = await setUp({ board });
    rig.bench.setJumper(true);
    const failure = await failureOf(flashBytes(rig, klipperFor(rig, { transport: 'can' })));
    expect(failure).toMatchObject({ code: 'no-boot', advice: expect.stringMatching(/jumper/) });
    expectSafe(rig);
    rig.bench.dispose();
  });

  test.each([0.1, 1, 10, 100])('reset capacitor of %d uF', async (resetCapacitorUf) => {
    await expectWorks({ board, lines: { resetCapacitorUf } });
  });
});

test('BOOT1 held high by a display (F4): no device, and the error says where to look', async () => {
  const rig = await setUp({ lines: { boot1High: true } });
  const expected = { code: 'no-device', advice: /EXP1/, place: /^1-/, visited: true };
  await expectUntouched(rig, () => flashIt(rig), expected);
  rig.bench.dispose();
});

test('BOOT1 high is nothing to an H7', () =>
  expectWorks({ board: 'octopus-pro-h723', lines: { boot1High: true } }));

describe.each(BOARDS)('%s: hosts', (board) => {
  test('everything takes as long as it may', () => expectWorks({ board, times: 'worst' }));
  test('no udevd, so no events', () => expectWorks({ board, usbEvents: false }));
  test('no udevd, and everything takes long', () => expectWorks({ board, usbEvents: false, times: 'worst' }));
});

describe('what else is on the bus', () => {
  const FOREIGN_DFU = { busPath: '1-1.4', vendorId: 0x0483, productId: 0xdf11, bcdDevice: 0x2200 };

  test.each(TWO_BOARDS)('%s: another DFU device is left alone', async (board) => {
    const rig = await setUp({ board });
    rig.bench.addDevice(FOREIGN_DFU);
    await rig.bench.clock.sleep(1000);
    const talkedTo = new Set<string>();
    rig.bench.faults.beforeTransfer = (_n, _setup, _data, busPath) => {
      talkedTo.add(busPath);
      return undefined;
    };
    expect(await flashIt(rig)).toMatchObject({ state: 'done', verified: true });
    expect([...talkedTo]).toEqual([rig.bench.board.data.busPath]);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('another DFU device, and ours cannot be reset: it is not taken for ours', async () => {
    const rig = await setUp({ state: 'bricked', lines: { nrstWireMissing: true } });
    rig.bench.addDevice(FOREIGN_DFU);
    await rig.bench.clock.sleep(1000);
    const expected = { code: 'device-was-there-before', place: /^1-1\.4$/, visited: true };
    await expectUntouched(rig, () => flashIt(rig), expected, null);
    expect(rig.bench.usb.transfers.total).toBe(0);
    rig.bench.dispose();
  });

  test('another DFU device that comes while ours is in reset is not taken for ours', async () => {
    const rig = await setUp({ lines: { boot1High: true } });
    rig.bench.lines.onLineChange(({ pin, drive }) => {
      if (pin === 'gpio19' && drive === 'floating') rig.bench.addDevice(FOREIGN_DFU);
    });
    const expected = { code: 'device-came-elsewhere', place: /^1-1\.4$/, visited: true };
    await expectUntouched(rig, () => flashIt(rig), expected);
    expect(rig.bench.usb.transfers.total).toBe(0);
    rig.bench.dispose();
  });

  test.each(TWO_BOARDS)('%s: in DFU mode already', (board) =>
    expectWorks({ board }, async ({ bench }) => {
      bench.setJumper(true);
      await bench.pressReset();
      await bench.settle();
      expect(bench.board.running.kind).toBe('rom');
      bench.setJumper(false);
    }),
  );

  test.each(TWO_BOARDS)('%s: a twin with the same serial number keeps its firmware', async (board) => {
    const uid = '29002c001151383437303738';
    const twin = { board, uid, busPath: '1-1.1', lines: { boot0Pin: 'gpio5', nrstPin: 'gpio6' } };
    const rig = await setUp({ board, uid, busPath: '1-1.3', boards: [twin] });
    const other = rig.bench.boards[1];
    expect(await flashIt(rig)).toMatchObject({ state: 'done', verified: true });
    expect(rig.bench.board.klipper?.version).toBe(NEW);
    expect(other?.klipper?.version).toBe('v0.12.0-85-gd785b396');
    expect([...(other?.flash.statistics.erases ?? [1])]).toEqual([]);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test.each(['used', 'bricked', 'blank'] as const)('two boards on the same wires, %s', async (state) => {
    const rig = await setUp({ state, busPath: '1-1.3', boards: [{ state, busPath: '1-1.1' }] });
    const expected = { code: 'two-boards-alike', place: /1-1\.1.*1-1\.3|1-1\.3.*1-1\.1/, visited: true };
    const runs = state === 'used' ? 'v0.12.0-85-gd785b396' : null;
    await expectUntouched(rig, () => flashIt(rig), expected, runs);
    expect(rig.bench.usb.transfers.total).toBe(0);
    rig.bench.dispose();
  });

  test('two boards on the same wires, one seen late to leave', async () => {
    const rig = await setUp({ busPath: '1-1.3', boards: [{ busPath: '1-1.1' }] });
    // Its hub tells of the disconnect only after reset was released.
    const list = rig.bench.usb.list.bind(rig.bench.usb);
    const twin = (await list()).find(({ busPath }) => busPath === '1-1.1');
    let lateUntil = Infinity;
    rig.bench.lines.onLineChange(() => (lateUntil = Math.min(lateUntil, rig.bench.clock.now() + 180)));
    rig.bench.usb.list = async () => {
      const now = await list();
      const missing = !now.some(({ busPath }) => busPath === '1-1.1');
      return missing && twin !== undefined && rig.bench.clock.now() < lateUntil ? [...now, twin] : now;
    };
    await expectUntouched(rig, () => flashIt(rig), { code: 'two-boards-alike', visited: true });
    rig.bench.dispose();
  });
});

describe.each(['bricked', 'blank', 'used'] as const)('not on USB before: %s', (state) => {
  test.each(TWO_BOARDS)('%s', async (board) => {
    const rig = await setUp({ board, state });
    if (state === 'used') {
      // A Klipper for CAN: it runs, and USB shows nothing of it.
      await flashBytes(rig, klipperFor(rig, { transport: 'can' }));
    }
    const image = klipperFor(rig, state === 'blank' ? { linkAddress: 0x0800_0000 } : {});
    expect(await flashBytes(rig, image)).toMatchObject({ state: 'done', verified: true, printer: 'ready' });
    expect(rig.bench.board.klipper?.version).toBe(NEW);
    expectSafe(rig);
    rig.bench.dispose();
  });
});

test.each(TWO_BOARDS)(
  '%s: reset while the kernel was getting to know it, and unseen for long: one more pulse',
  async (board) => {
    let pulses = 0;
    await expectWorks({ board }, async ({ bench }) => {
      bench.lines.onLineChange(({ pin, drive }) => {
        if (pin === bench.lines.settings.nrstPin && drive === 'low') pulses += 1;
      });
      const list = bench.usb.list.bind(bench.usb);
      bench.usb.list = async () => (pulses < 2 ? [] : list());
    });
    // One in vain, one into the ROM, one out of it.
    expect(pulses).toBe(3);
  },
);

describe('a device that may not be opened', () => {
  test('ends with the old firmware', async () => {
    const rig = await setUp();
    const before = wholeFlash(rig);
    rig.bench.faults.refuseOpen = () => true;
    const expected = { code: 'no-hardware', advice: /udev/, place: /^1-/, visited: true };
    await expectUntouched(rig, () => flashIt(rig), expected);
    expect(wholeFlash(rig).equals(before)).toBe(true);
    rig.bench.dispose();
  });

  test('for a second only: udev was slow', () =>
    expectWorks({}, async ({ bench }) => {
      let tries = 0;
      bench.faults.refuseOpen = () => tries++ < 10;
    }));
});
