// The other visits: held in DFU mode for somebody else, one pulse on reset, a look without touching, lines let go.
import { describe, expect, jest, test } from '@jest/globals';
import { dfuEnter } from '../../src/flash/dfu-enter.ts';
import { releaseLines } from '../../src/flash/release-lines.ts';
import { reset } from '../../src/flash/reset.ts';
import { status } from '../../src/flash/status.ts';
import { takeBackup } from '../../src/flash/take-backup.ts';
import type { BoardState } from '../../src/virtual/board-data.ts';
import { OLD_KLIPPER } from '../../src/virtual/forge.ts';
import {
  BOARDS,
  expectSafe,
  failureOf,
  flashBytes,
  klipperFor,
  PINS,
  setUp,
  type TestBench,
} from '../support/bench.ts';
import { expectUntouched, wholeFlash } from '../support/untouched.ts';

const quiet = () => {};
const CONFIRM = ['cold', 'still'] as const;
const hold = ({ kit, place }: TestBench, holdMs: number, signal?: AbortSignal) =>
  dfuEnter(kit, { place, confirm: CONFIRM, holdMs }, quiet, signal);
const pulse = ({ kit, place }: TestBench) => reset(kit, { place, confirm: CONFIRM }, quiet);

/** The ROM on USB, opened the way dfu-util would. */
async function openAsSomebodyElse({ bench }: TestBench): Promise<string> {
  const rom = (await bench.usb.list()).find(({ productId }) => productId === 0xdf11);
  if (rom === undefined) throw new Error('no ROM on USB');
  const device = await bench.usb.openDfu(rom);
  await device.close();
  return rom.busPath;
}

describe.each(BOARDS)('%s: held in DFU mode', (board) => {
  test('for its time, free for others, and gone afterwards', async () => {
    const rig = await setUp({ board });
    const before = wholeFlash(rig);
    const began = rig.bench.clock.now();
    const visit = hold(rig, 30_000);
    await rig.bench.clock.sleep(15_000);
    const { busPath } = rig.bench.board.data;
    expect(await openAsSomebodyElse(rig)).toBe(busPath);
    expect(rig.bench.lines.pins()).toEqual({ gpio19: 'floating', gpio26: 'floating' });
    expect(rig.bench.printer.serviceRunning).toBe(false);
    expect(await visit).toMatchObject({
      busPath,
      flashSizeBytes: before.length,
      transferSizeBytes: expect.any(Number),
      leftBecause: 'time',
    });
    expect(rig.bench.clock.now() - began).toBeGreaterThan(30_000);
    expect(rig.bench.clock.now() - began).toBeLessThan(33_000);
    expectSafe(rig);
    await rig.bench.settle();
    expect(rig.bench.board.klipper?.version).toBe(OLD_KLIPPER);
    expect(wholeFlash(rig).equals(before)).toBe(true);
    rig.bench.dispose();
  });
});

test('held in DFU mode until somebody asks for it', async () => {
  const rig = await setUp();
  const leave = new AbortController();
  const visit = hold(rig, 3_600_000, leave.signal);
  await rig.bench.clock.sleep(60_000);
  leave.abort();
  expect(await visit).toMatchObject({ leftBecause: 'asked' });
  expect(rig.bench.clock.now()).toBeLessThan(70_000);
  await rig.bench.settle();
  expect(rig.bench.board.klipper?.version).toBe(OLD_KLIPPER);
  expectSafe(rig);
  rig.bench.dispose();
});

test('held in DFU mode: unplugged meanwhile, it still ends with floating lines and Klipper started', async () => {
  const rig = await setUp();
  const visit = hold(rig, 30_000);
  await rig.bench.clock.sleep(10_000);
  rig.bench.unplug();
  expect(await visit).toMatchObject({ leftBecause: 'time' });
  expectSafe(rig);
  rig.bench.dispose();
});

test.each([
  ['held in DFU mode', (rig: TestBench) => hold(rig, 1000)],
  ['reset', pulse],
] as const)('%s: not while printing', async (_name, visit) => {
  const rig = await setUp();
  rig.bench.printer.reading = { printing: true };
  await expectUntouched(rig, () => visit(rig), { code: 'gate-closed', place: /printer/, visited: false });
  rig.bench.dispose();
});

describe('reset', () => {
  test.each<[BoardState, string | null]>([
    ['used', 'klipper'],
    ['bridge', 'klipperBridge'],
    ['katapult', 'klipper'],
    ['katapult-empty', 'katapult'],
    ['no-bootloader', 'klipper'],
    ['bricked', null],
    ['blank', null],
  ])('%s comes back as %s', async (state, seen) => {
    const rig = await setUp({ state });
    const { busPath } = rig.bench.board.data;
    const result = await pulse(rig);
    expect(result).toMatchObject({ seen, busPath: seen === null ? null : busPath });
    if (seen === null) expect(result.notes.join()).toMatch(/reset wire/);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('brings a board out of DFU mode', async () => {
    const rig = await setUp();
    rig.bench.setJumper(true);
    await rig.bench.pressReset();
    await rig.bench.settle();
    rig.bench.setJumper(false);
    expect(await pulse(rig)).toMatchObject({ seen: 'klipper' });
    expect(rig.bench.board.klipper?.version).toBe(OLD_KLIPPER);
    rig.bench.dispose();
  });

  test('says that it is in DFU mode again, where the jumper is fitted', async () => {
    const rig = await setUp();
    rig.bench.setJumper(true);
    expect(await pulse(rig)).toMatchObject({ seen: 'romDfu' });
    rig.bench.dispose();
  });

  test('without a reset wire nothing leaves, and it says so', async () => {
    const rig = await setUp({ lines: { nrstWireMissing: true } });
    const result = await pulse(rig);
    expect(result).toMatchObject({ seen: null, busPath: null });
    expect(result.notes.join()).toMatch(/reset wire/);
    expectSafe(rig);
    rig.bench.dispose();
  });
});

test('status touches nothing, and knows more after a flash', async () => {
  const rig = await setUp();
  const { busPath } = rig.bench.board.data;
  rig.bench.addDevice({ busPath: '1-1.4', vendorId: 0x1d50, productId: 0x614e, product: 'stm32f103xe' });
  rig.bench.addDevice({ busPath: '1-1.1', vendorId: 0x046d, productId: 0xc077 });
  await rig.bench.clock.sleep(1000);
  const changes = jest.fn();
  const unsubscribe = rig.bench.lines.onLineChange(changes);
  const stopped = jest.spyOn(rig.bench.printer, 'stopKlipper');
  const fresh = await status(rig.kit, rig.place);
  expect(fresh).toMatchObject({ mcu: 'stm32f446xx', klipper: 'ready', memory: {}, backups: 0 });
  // Before it was ever proven which one it is, every candidate is named; a mouse is none.
  expect(fresh.devices.map((device) => device.busPath).toSorted()).toEqual([busPath, '1-1.4'].toSorted());
  expect(changes).not.toHaveBeenCalled();
  expect(stopped).not.toHaveBeenCalled();
  expect(rig.bench.usb.transfers.total).toBe(0);
  expect(rig.steps).toEqual([]);
  unsubscribe();

  await flashBytes(rig, klipperFor(rig));
  const known = await status(rig.kit, rig.place);
  expect(known).toMatchObject({ devices: [{ busPath, kind: 'klipper' }], klipper: 'ready', backups: 1 });
  expect(known.memory).toMatchObject({ busPath, lastFlash: { version: 'v0.13.0-1-gabcdef0' } });
  rig.bench.dispose();
});

test.each([
  ['BOOT0 high', 'boot0', 'high'],
  ['reset low', 'nrst', 'low'],
] as const)('lines that a dead process left at %s are let go', async (_name, line, drive) => {
  const rig = await setUp();
  rig.bench.lines.drive(line, drive);
  expect(() => expectSafe(rig)).toThrow(/is left/);
  await releaseLines(rig.kit, PINS);
  expectSafe(rig);
  await rig.bench.settle();
  expect(rig.bench.board.klipper?.version).toBe(OLD_KLIPPER);
  rig.bench.dispose();
});

test('a line that stays driven is an error, not a success', async () => {
  const rig = await setUp();
  const { gpio } = rig.bench;
  const setPin = gpio.setPin.bind(gpio);
  rig.bench.lines.drive('nrst', 'low');
  gpio.setPin = (pin, drive) => (pin === 'gpio19' ? undefined : setPin(pin, drive));
  await expect(releaseLines(rig.kit, PINS)).rejects.toMatchObject({
    code: 'lines-stuck',
    advice: expect.stringMatching(/lines-release/),
  });
  rig.bench.dispose();
});

describe('a jumper fitted: the board is in DFU mode again after the visit, and that is said', () => {
  const fitted = { lines: { jumperFitted: true } };

  test('dfu_enter', async () => {
    const rig = await setUp(fitted);
    expect(await failureOf(hold(rig, 1_000))).toMatchObject({
      code: 'no-boot',
      advice: expect.stringContaining('jumper'),
    });
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('backup: kept all the same', async () => {
    const rig = await setUp(fitted);
    const taking = takeBackup(rig.kit, { place: rig.place, confirm: CONFIRM }, quiet);
    expect(await failureOf(taking)).toMatchObject({
      code: 'no-boot',
      advice: expect.stringContaining('jumper'),
    });
    expect(await rig.kit.store.list('backups')).toHaveLength(2);
    expectSafe(rig);
    rig.bench.dispose();
  });
});
