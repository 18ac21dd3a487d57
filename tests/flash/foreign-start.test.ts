// Somebody presses Start in Mainsail in the middle of a flash, in every phase: Klipper is stopped again, the flash ends
// well, and Klipper runs afterwards.
import { describe, expect, jest, test } from '@jest/globals';
import type { FlashEvent, Phase } from '../../src/flash/report.ts';
import { flash } from '../../src/flash/flash.ts';
import { OctopusError } from '../../src/errors.ts';
import { expectSafe, klipperFor, orderFor, setUp, type TestBench } from '../support/bench.ts';

const NEW = 'v0.13.0-1-gabcdef0';
const isForeign = (note: string) => note.includes('started by somebody else in the middle');

/** A flash, with `at` told each phase when it begins. */
function flashing(rig: TestBench, at: (phase: Phase) => void) {
  const report = (event: FlashEvent) => {
    if (event.kind === 'phase') at(event.phase);
  };
  return flash(rig.kit, orderFor(rig, klipperFor(rig)), report);
}

/** Begin and end of every stop and start, in order. */
function serviceCalls({ bench }: TestBench): string[] {
  const calls: string[] = [];
  for (const name of ['stopKlipper', 'startKlipper'] as const) {
    const real = bench.printer[name].bind(bench.printer);
    jest.spyOn(bench.printer, name).mockImplementation(async () => {
      calls.push(`${name} begins`);
      await real();
      calls.push(`${name} ends`);
    });
  }
  return calls;
}

const STOP = ['stopKlipper begins', 'stopKlipper ends'];
const START = ['startKlipper begins', 'startKlipper ends'];

describe.each(['typical', 'worst'] as const)('%s times', (times) => {
  test.each<Phase>(['enter', 'backup', 'erase', 'write', 'verify', 'boot', 'confirm'])(
    'in %s',
    async (phase) => {
      const rig = await setUp({ times });
      const calls = serviceCalls(rig);
      const result = await flashing(rig, (now) => {
        if (now === phase) rig.bench.printer.foreignStart();
      });
      expect(result).toMatchObject({
        state: 'done',
        verified: true,
        printer: 'ready',
        boot: expect.stringContaining(NEW),
      });
      expect(result.notes.filter(isForeign)).toHaveLength(1);
      expect(calls).toEqual([...STOP, ...STOP, ...START]);
      expectSafe(rig);
      rig.bench.dispose();
    },
  );
});

test('at the very end of the look at the board: the stop in progress is awaited before the start', async () => {
  const rig = await setUp({ times: 'worst' });
  const calls = serviceCalls(rig);
  const open = rig.bench.serial.open.bind(rig.bench.serial);
  jest.spyOn(rig.bench.serial, 'open').mockImplementation(async (path) => {
    const port = await open(path);
    rig.bench.printer.foreignStart();
    return port;
  });
  expect(await flashing(rig, () => {})).toMatchObject({ state: 'done', printer: 'ready' });
  expect(calls).toEqual([...STOP, ...STOP, ...START]);
  rig.bench.dispose();
});

test('twice at once: one stop after the other', async () => {
  const rig = await setUp({ times: 'worst' });
  const calls = serviceCalls(rig);
  const listeners: (() => void)[] = [];
  jest.spyOn(rig.bench.printer, 'onForeignStart').mockImplementation((listener) => {
    listeners.push(listener);
    return () => {};
  });
  const result = await flashing(rig, (phase) => {
    if (phase === 'write') for (const listener of [...listeners, ...listeners]) listener();
  });
  expect(result.notes.filter(isForeign)).toHaveLength(2);
  expect(calls).toEqual([...STOP, ...STOP, ...STOP, ...START]);
  rig.bench.dispose();
});

describe('by a rule, again and again', () => {
  async function flashUnderRule(until: Phase) {
    const rig = await setUp();
    const calls = serviceCalls(rig);
    let isOn = false;
    const again = setIntervalOn(rig, () => {
      if (isOn) rig.bench.printer.foreignStart();
    });
    const result = await flashing(rig, (phase) => {
      if (phase === 'enter') isOn = true;
      if (phase === until) isOn = false;
    });
    again();
    expect(calls).toEqual([...STOP, ...STOP, ...STOP, ...STOP, ...START]);
    expect(result.notes.filter(isForeign)).toHaveLength(3);
    expect(result.notes.filter((note) => note.includes('more than 3 times'))).toHaveLength(1);
    expectSafe(rig);
    rig.bench.dispose();
    return result;
  }

  test('three times it is stopped, then the work goes on: the board is left to the printer', async () => {
    const result = await flashUnderRule('printer');
    expect(result).toMatchObject({ state: 'done', verified: true });
    expect(result.boot).toMatch(/held by Klipper/);
  });
});

/** Does `action` every 100 ms of the bench's time. */
function setIntervalOn({ bench }: TestBench, action: () => void): () => void {
  const over = new AbortController();
  void (async () => {
    while (!over.signal.aborted) {
      await bench.clock.sleep(100, over.signal).catch(() => {});
      action();
    }
  })();
  return () => over.abort();
}

test('the second stop fails in the middle of a write: a note, and the flash ends well', async () => {
  const rig = await setUp();
  const real = rig.bench.printer.stopKlipper.bind(rig.bench.printer);
  const stop = jest.spyOn(rig.bench.printer, 'stopKlipper').mockImplementationOnce(real);
  stop.mockRejectedValueOnce(new OctopusError('printer-unreachable', 'no answer', { advice: '-' }));
  const result = await flashing(rig, (phase) => {
    if (phase === 'write') rig.bench.printer.foreignStart();
  });
  expect(result).toMatchObject({ state: 'done', verified: true, printer: 'ready' });
  expect(result.notes).toContain('Klipper could not be stopped again: no answer.');
  expect(result.boot).toMatch(/held by Klipper/);
  expectSafe(rig);
  rig.bench.dispose();
});

test('before Klipper was stopped, and after it was started again, it is nobody else', async () => {
  const rig = await setUp();
  const result = await flashing(rig, (phase) => {
    if (phase === 'stop' || phase === 'printer') rig.bench.printer.foreignStart();
  });
  expect(result.notes.filter(isForeign)).toEqual([]);
  rig.bench.dispose();
});
