// Outputs that the ROM may drive: nobody's heater is left on them without power off, or a word of the caller.
import { describe, expect, jest, test } from '@jest/globals';
import { dfuEnter } from '../../src/flash/dfu-enter.ts';
import { expectSafe, failureOf, flashBytes, klipperFor, type TestBench } from '../support/bench.ts';
import { POWER, courseOf, rigWith } from '../support/heated.ts';
import { expectUntouched } from '../support/untouched.ts';
import { ALL_WALKS, ROM_WALKS } from '../support/walks.ts';

const CONFIRM = ['cold', 'still'] as const;
const UNPLUGGED = [...CONFIRM, 'heaters_unplugged'] as const;
const isAboutHeaters = (note: string) => /HE2/.test(note);

describe.each(Object.keys(ROM_WALKS))('%s', (name) => {
  const walk = ROM_WALKS[name] ?? (() => Promise.reject(new Error(name)));

  test('nothing is known: refused with the three cures, nothing touched', async () => {
    const rig = await rigWith({ kind: 'unknown' });
    const failure = await expectUntouched(rig, () => walk(rig, CONFIRM), {
      code: 'needs-confirmation',
      place: /confirm/,
      visited: false,
    });
    expect(failure.message).toMatch(/HE2 \(PB10\) and HE3 \(PB11\)/);
    expect(failure.advice).toMatch(/confirm: heaters_unplugged/);
    expect(failure.advice).toMatch(/unused_heaters: HE2, HE3" under \[board octopus-v1.1-f446\]/);
    expect(failure.advice).toMatch(/power_device: /);
    rig.bench.dispose();
  });

  test('the caller vouches: done, and said', async () => {
    const rig = await rigWith({ kind: 'unknown' });
    const { notes = [] } = await walk(rig, UNPLUGGED);
    expect(notes.filter(isAboutHeaters)).toHaveLength(1);
    rig.bench.dispose();
  });

  test('nothing hangs there: not a word', async () => {
    const rig = await rigWith({ kind: 'unused' });
    const power = jest.spyOn(rig.bench.printer, 'setPower');
    const { notes = [] } = await walk(rig, CONFIRM);
    expect(notes.filter(isAboutHeaters)).toEqual([]);
    expect(power).not.toHaveBeenCalled();
    rig.bench.dispose();
  });

  test('a board whose ROM drives none needs nothing', async () => {
    const rig = await rigWith({ kind: 'unknown' });
    const board = { ...rig.place.board, heatersDrivenByRom: [] };
    const { notes = [] } = await walk({ ...rig, place: { ...rig.place, board } }, CONFIRM);
    expect(notes.filter(isAboutHeaters)).toEqual([]);
    rig.bench.dispose();
  });

  test('power off between Klipper stopped and the lines, on between the boot and Klipper', async () => {
    const rig = await rigWith(POWER);
    const course = courseOf(rig);
    const { notes = [] } = await walk(rig, CONFIRM);
    expect(course).toEqual([
      'stopped',
      'heaters off',
      'lines',
      'released',
      'released',
      'heaters on',
      'start',
    ]);
    expect(rig.bench.printer.power.get('heaters')).toBe('on');
    expect(notes.filter(isAboutHeaters)).toHaveLength(1);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('power cannot be switched off: refused, Klipper started again, no line moved', async () => {
    const rig = await rigWith(POWER);
    rig.bench.printer.powerFailsTo = 'off';
    const course = courseOf(rig);
    const failure = await expectUntouched(rig, () => walk(rig, CONFIRM), {
      code: 'gate-closed',
      place: /power_device/,
      visited: false,
    });
    expect(failure.message).toContain('"heaters"');
    expect(course).toEqual(['stopped', 'heaters off', 'heaters on', 'start']);
    rig.bench.dispose();
  });

  test('power cannot be switched on again: a note with what to do', async () => {
    const rig = await rigWith(POWER);
    rig.bench.printer.powerFailsTo = 'on';
    const { notes = [] } = await walk(rig, CONFIRM);
    expect(notes.join()).toMatch(/"heaters" could not be switched on again: .*Switch it on by hand/);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('unplugged in the middle: the power is back all the same', async () => {
    const rig = await rigWith(POWER);
    const course = courseOf(rig);
    const first = rig.bench.usb.transfers.total;
    rig.bench.faults.beforeTransfer = (n) => (n === first + 12 ? 'unplug' : undefined);
    await failureOf(walk(rig, CONFIRM));
    expect(course.slice(-2)).toEqual(['heaters on', 'start']);
    expect(rig.bench.printer.power.get('heaters')).toBe('on');
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('still in DFU mode afterwards (a jumper is fitted): the power stays off', async () => {
    const rig = await rigWith(POWER);
    rig.bench.setJumper(true);
    const told: string[] = [];
    const work = walk(rig, CONFIRM, (event) => {
      if (event.kind === 'note') told.push(event.text);
    });
    expect(await failureOf(work)).toMatchObject({ code: 'no-boot' });
    expect(rig.bench.printer.power.get('heaters')).toBe('off');
    expect(told.join()).toMatch(/"heaters" stays off: the board is still in DFU mode/);
    expectSafe(rig);
    rig.bench.dispose();
  });
});

test('a reset does not enter the ROM and asks nothing', async () => {
  const walk = ALL_WALKS['reset'] ?? (() => Promise.reject(new Error('reset')));
  for (const heaters of [{ kind: 'unknown' }, POWER] as const) {
    const rig = await rigWith(heaters);
    const power = jest.spyOn(rig.bench.printer, 'setPower');
    const { notes } = await walk(rig, CONFIRM);
    expect(notes).toEqual([]);
    expect(power).not.toHaveBeenCalled();
    rig.bench.dispose();
  }
});

test('a power device that starts Klipper itself when it is switched on is nobody else', async () => {
  const rig = await rigWith(POWER);
  const { printer } = rig.bench;
  const real = printer.setPower.bind(printer);
  jest.spyOn(printer, 'setPower').mockImplementation(async (device, state) => {
    await real(device, state);
    if (state === 'on') printer.foreignStart();
  });
  const result = await flashBytes(rig, klipperFor(rig));
  expect(result).toMatchObject({ state: 'done', printer: 'ready' });
  expect(result.notes.filter((note) => note.includes('somebody else'))).toEqual([]);
  rig.bench.dispose();
});

describe('held in DFU mode', () => {
  const hold = ({ kit, place }: TestBench, holdMs: number) =>
    dfuEnter(kit, { place, confirm: UNPLUGGED, holdMs }, () => {});

  test('on the word of the caller: not longer than 60 s', async () => {
    // So slow that the entry takes seconds, which count.
    const rig = await rigWith({ kind: 'unknown' }, { timesOverride: { transferMs: 200 } });
    const failure = await expectUntouched(rig, () => hold(rig, 60_001), {
      code: 'bad-parameter',
      place: /hold_s/,
      advice: /at most 60/,
      visited: false,
    });
    expect(failure.message).toMatch(/HE2 \(PB10\) and HE3 \(PB11\)/);
    const cameAt = arrivalsOfRom(rig);
    const leftAt = departuresOfRom(rig);
    expect(await hold(rig, 60_000)).toMatchObject({ leftBecause: 'time' });
    expect((leftAt[0] ?? Infinity) - (cameAt[0] ?? 0)).toBeLessThanOrEqual(60_100);
    expect((leftAt[0] ?? 0) - (cameAt[0] ?? 0)).toBeGreaterThan(58_000);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test.each([{ kind: 'unused' }, POWER] as const)('without a limit where they are $kind', async (heaters) => {
    const rig = await rigWith(heaters);
    const [cameAt, leftAt] = [arrivalsOfRom(rig), departuresOfRom(rig)];
    await hold(rig, 600_000);
    expect((leftAt[0] ?? 0) - (cameAt[0] ?? 0)).toBeGreaterThan(599_000);
    expectSafe(rig);
    rig.bench.dispose();
  });
});

const arrivalsOfRom = (rig: TestBench) => changesOfRom(rig, 'arrived');
const departuresOfRom = (rig: TestBench) => changesOfRom(rig, 'left');

function changesOfRom({ bench }: TestBench, wanted: 'arrived' | 'left'): number[] {
  const at: number[] = [];
  bench.usb.onChange(({ kind, device }) => {
    if (kind === wanted && device.productId === 0xdf11) at.push(bench.clock.now());
  });
  return at;
}
