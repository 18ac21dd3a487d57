// What an interrupted job leaves behind, and how the next start brings it to an end.
import { describe, expect, test } from '@jest/globals';
import { boardByName } from '../../src/boards/boards.ts';
import { dfuEnter } from '../../src/flash/dfu-enter.ts';
import { flash } from '../../src/flash/flash.ts';
import type { BoardPlace } from '../../src/flash/place.ts';
import type { Phase } from '../../src/flash/report.ts';
import { readReplacement } from '../../src/flash/replacement.ts';
import { lastJob, isDead } from '../../src/jobs/journal.ts';
import { startJob } from '../../src/jobs/runner.ts';
import { seal } from '../../src/kept.ts';
import { isOwed, repairBoard } from '../../src/methods/repair.ts';
import { forgeKlipper, OLD_KLIPPER } from '../../src/virtual/forge.ts';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import { expectSafe, klipperFor, orderFor, setUp, TWO_BOARDS, type TestBench } from '../support/bench.ts';
import { wholeFlash } from '../support/untouched.ts';
import { setUpKnown } from '../support/walks.ts';

const NEW = 'v0.13.0-1-gabcdef0';
const { signal: never } = new AbortController();

/** Flashes as a job, with something that happens in the middle of a phase. Returns the code that it ends with. */
async function flashJob(rig: TestBench, place: BoardPlace, image: Uint8Array, phase: Phase, act: () => void) {
  let isDone = false;
  const job = await startJob(rig.bench, {
    method: 'octopus.flash',
    board: place.board.name,
    work: (kit, report) =>
      flash(
        kit,
        { ...orderFor(rig, image), place },
        (event) => {
          report(event);
          const isThere =
            event.kind === 'progress'
              ? event.phase === phase && event.doneBytes * 2 >= event.totalBytes
              : event.kind === 'phase' && event.phase === phase && phase === 'confirm';
          if (!isThere || isDone) return;
          isDone = true;
          act();
        },
        never,
      ),
  });
  return job.ended.then(
    () => 'done',
    ({ code }: { code: string }) => code,
  );
}

/** A flash whose board loses its power in the middle of its writes; the power is back when this returns. */
async function torn(options: BenchOptions): Promise<TestBench> {
  const rig = await setUpKnown(options);
  const code = await flashJob(rig, rig.place, klipperFor(rig), 'write', () => rig.bench.powerCut());
  expect(code).not.toBe('done');
  rig.bench.powerOn();
  await rig.bench.settle();
  expect(rig.bench.board.klipper).toBeUndefined();
  expect(await isOwed(rig.bench, rig.place)).toBe(true);
  return rig;
}

async function expectPaid(rig: TestBench): Promise<void> {
  await rig.bench.settle();
  expect(await readReplacement(rig.bench, rig.place.board.name)).toBeUndefined();
  expect(await isOwed(rig.bench, rig.place)).toBe(false);
  expectSafe(rig);
  rig.bench.dispose();
}

describe.each([
  ...TWO_BOARDS.map((board): [string, BenchOptions] => [board, { board }]),
  ...TWO_BOARDS.map((board): [string, BenchOptions] => [`${board}, Katapult`, { board, state: 'katapult' }]),
])('%s: the power failed in the middle of a write', (_name, options) => {
  test('the next start finishes it', async () => {
    const rig = await torn(options);
    expect(await repairBoard(rig.bench, rig.place)).toEqual({ kind: 'finished' });
    await rig.bench.settle();
    expect(rig.bench.board.klipper?.version).toBe(NEW);
    await expectPaid(rig);
  });

  test('and it fails again there: the start after that one', async () => {
    const rig = await torn(options);
    rig.bench.unplug();
    expect(await repairBoard(rig.bench, rig.place)).toMatchObject({ kind: 'needs' });
    rig.bench.replug();
    expect(await isOwed(rig.bench, rig.place)).toBe(true);
    expect(await repairBoard(rig.bench, rig.place)).toEqual({ kind: 'finished' });
    await rig.bench.settle();
    expect(rig.bench.board.klipper?.version).toBe(NEW);
    await expectPaid(rig);
  });

  test('the image that was being written is gone from the disk: what ran before is back', async () => {
    const rig = await torn(options);
    const key = (await rig.bench.store.list('replacements')).find((one) => one.endsWith('.bin'));
    await rig.bench.store.write(key ?? '', Uint8Array.of(1, 2, 3));
    expect(await repairBoard(rig.bench, rig.place)).toEqual({ kind: 'rolled-back' });
    await rig.bench.settle();
    expect(rig.bench.board.klipper?.version).toMatch(/^v0\.1[23]/);
    expect(rig.bench.board.klipper?.version).not.toBe(NEW);
    await expectPaid(rig);
  });

  test('somebody has flashed another firmware meanwhile: it runs, and is left alone', async () => {
    const rig = await torn(options);
    const theirs = klipperFor(rig, { version: 'v0.14.0-theirs', seed: 9 });
    rig.bench.powerCut();
    const { applicationAddress } = rig.place.board;
    rig.bench.flash.load(applicationAddress, theirs);
    await rig.bench.clock.sleep(1000);
    rig.bench.powerOn();
    await rig.bench.settle();
    const before = wholeFlash(rig);
    expect(await repairBoard(rig.bench, rig.place)).toEqual({ kind: 'runs' });
    expect(wholeFlash(rig).equals(before)).toBe(true);
    await expectPaid(rig);
  });
});

test('what was written and never seen to run does not run: what ran before is back', async () => {
  const rig = await setUpKnown();
  const mute = klipperFor(rig, { crystalHz: 25_000_000 });
  // The process does not live to see the verdict: its board goes with it.
  const code = await flashJob(rig, rig.place, mute, 'confirm', () => rig.bench.unplug());
  expect(code).not.toBe('done');
  rig.bench.replug();
  await rig.bench.settle();
  expect(await repairBoard(rig.bench, rig.place)).toMatchObject({
    kind: 'needs',
    error: { code: 'no-boot', onBoard: expect.stringContaining('runs again') },
  });
  await rig.bench.settle();
  expect(rig.bench.board.klipper?.version).toBe(OLD_KLIPPER);
  await expectPaid(rig);
});

test('a flash over half an image that does not come back: what ran before both is back', async () => {
  const rig = await torn({});
  const mute = klipperFor(rig, { crystalHz: 25_000_000, version: 'v0.13.0-2' });
  expect(await flashJob(rig, rig.place, mute, 'confirm', () => {})).toBe('no-boot');
  await rig.bench.settle();
  expect(rig.bench.board.klipper?.version).toBe(OLD_KLIPPER);
  await expectPaid(rig);
});

test('image and backup are both gone: it says what to do, and says it again', async () => {
  const rig = await torn({});
  for (const folder of ['replacements', 'backups'])
    for (const key of await rig.bench.store.list(folder))
      if (key.endsWith('.bin')) await rig.bench.store.remove(key);
  const before = wholeFlash(rig);
  for (let start = 0; start < 2; start++) {
    expect(await repairBoard(rig.bench, rig.place)).toMatchObject({
      kind: 'needs',
      error: { code: 'backup-damaged', advice: expect.any(String) },
    });
    expectSafe(rig);
  }
  expect(wholeFlash(rig).equals(before)).toBe(true);
  rig.bench.dispose();
});

describe('one digit of the record has changed on the disk: nothing is written by it', () => {
  async function spoil(rig: TestBench): Promise<void> {
    const key = `replacements/${rig.place.board.name}.json`;
    const text = new TextDecoder().decode(await rig.bench.store.read(key));
    // 0x08008000 has become 0x08000000, where the bootloader lies.
    const other = text.replace('"address": 134250496', '"address": 134217728');
    expect(other).not.toBe(text);
    await rig.bench.store.write(key, new TextEncoder().encode(other));
  }

  test('the board does not run: it says what to do, and a flash mends it', async () => {
    const rig = await torn({});
    await spoil(rig);
    const before = wholeFlash(rig);
    for (let start = 0; start < 2; start++) {
      expect(await isOwed(rig.bench, rig.place)).toBe(true);
      expect(await repairBoard(rig.bench, rig.place)).toMatchObject({
        kind: 'needs',
        error: { code: 'backup-damaged', advice: expect.stringContaining('octopus flash') },
      });
      expectSafe(rig);
    }
    expect(wholeFlash(rig).equals(before)).toBe(true);
    expect(await flashJob(rig, rig.place, klipperFor(rig), 'write', () => {})).toBe('done');
    await expectPaid(rig);
  });

  test('the board runs: nothing is owed', async () => {
    const rig = await torn({});
    await spoil(rig);
    rig.bench.powerCut();
    const theirs = klipperFor(rig, { version: 'v0.14.0-theirs', seed: 9 });
    rig.bench.flash.load(rig.place.board.applicationAddress, theirs);
    await rig.bench.clock.sleep(1000);
    rig.bench.powerOn();
    await rig.bench.settle();
    expect(await repairBoard(rig.bench, rig.place)).toEqual({ kind: 'runs' });
    await expectPaid(rig);
  });
});

test('a board with another chip in its place is not written to', async () => {
  // Katapult tells the chip's id by its USB serial; of a ROM nobody learns it.
  const rig = await torn({ state: 'katapult' });
  const record = await rig.bench.store.read(`replacements/${rig.place.board.name}.json`);
  const { seal: _seal, ...told } = JSON.parse(new TextDecoder().decode(record));
  const other = { ...told, chipUid: '0123456789abcdef01234567' };
  await rig.bench.store.write(`replacements/${rig.place.board.name}.json`, seal(other));
  const before = wholeFlash(rig);
  expect(await repairBoard(rig.bench, rig.place)).toMatchObject({
    kind: 'needs',
    error: { code: 'wrong-device', advice: expect.stringContaining('exchanged') },
  });
  expect(wholeFlash(rig).equals(before)).toBe(true);
  expectSafe(rig);
  rig.bench.dispose();
});

describe('a job that died without having written anything', () => {
  /** Its process is gone in the middle: it never comes back from its work, and its lock and lines are the kernel's. */
  async function dies(rig: TestBench): Promise<void> {
    const entered = Promise.withResolvers<void>();
    const held = new AbortController();
    const journals = new Map<string, Uint8Array>();
    const job = await startJob(rig.bench, {
      method: 'octopus.dfu_enter',
      board: rig.place.board.name,
      work: (kit, report) =>
        dfuEnter(kit, { ...orderFor(rig, new Uint8Array(0)), holdMs: 30_000 }, report, held.signal),
    });
    void job.ended.catch(() => {});
    const stop = rig.bench.usb.onChange(({ kind, device }) => {
      if (kind === 'arrived' && device.productId === 0xdf11) entered.resolve();
    });
    await entered.promise;
    stop();
    await rig.bench.clock.sleep(2000);
    const key = `journal/${rig.place.board.name}.json`;
    journals.set(key, (await rig.bench.store.read(key)) ?? new Uint8Array(0));
    held.abort();
    await job.ended;
    // As it was at that moment: the board in DFU mode, Klipper stopped, the journal open.
    for (const [name, bytes] of journals) await rig.bench.store.write(name, bytes);
    await rig.bench.printer.stopKlipper();
    rig.bench.setJumper(true);
    await rig.bench.pressReset();
    await rig.bench.settle();
    rig.bench.setJumper(false);
  }

  test('the board leaves its ROM, and Klipper runs', async () => {
    const rig = await setUpKnown();
    const before = wholeFlash(rig);
    await dies(rig);
    expect(rig.bench.board.klipper).toBeUndefined();
    expect(await repairBoard(rig.bench, rig.place)).toEqual({ kind: 'released' });
    expect(rig.bench.board.klipper?.version).toBe(OLD_KLIPPER);
    expect(wholeFlash(rig).equals(before)).toBe(true);
    await expectPaid(rig);
  });

  test('with the jumper fitted it cannot: Klipper runs all the same, and the jumper is named', async () => {
    const rig = await setUpKnown();
    await dies(rig);
    rig.bench.setJumper(true);
    expect(await repairBoard(rig.bench, rig.place)).toMatchObject({
      kind: 'needs',
      error: { code: 'no-boot', advice: expect.stringContaining('jumper') },
    });
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('where it runs already there is nothing to do but to start Klipper', async () => {
    const rig = await setUpKnown();
    await dies(rig);
    await rig.bench.pressReset();
    await rig.bench.settle();
    expect(await repairBoard(rig.bench, rig.place)).toEqual({ kind: 'nothing' });
    const last = await lastJob(rig.bench, rig.place.board.name);
    expect(last !== undefined && isDead(last)).toBe(false);
    await expectPaid(rig);
  });
});

describe('a power device that was left off', () => {
  /** As a job leaves it that died before it could switch it on and start Klipper. */
  async function leftOff(rig: TestBench): Promise<void> {
    const journal = {
      job: 'x',
      method: 'octopus.flash',
      board: rig.place.board.name,
      startedAt: '2026-01-05T00:00:00.000Z',
      endedAs: null,
      steps: [
        { atMs: 1, kind: 'stop-klipper' },
        { atMs: 2, kind: 'power', device: 'heaters', state: 'off' },
      ],
    };
    const key = `journal/${rig.place.board.name}.json`;
    await rig.bench.store.write(key, seal(journal));
    await rig.bench.printer.stopKlipper();
    expect(await isOwed(rig.bench, rig.place)).toBe(true);
  }

  test('is switched on', async () => {
    const rig = await setUpKnown();
    rig.bench.printer.power.set('heaters', 'off');
    await leftOff(rig);
    expect(await repairBoard(rig.bench, rig.place)).toEqual({ kind: 'nothing' });
    expect(rig.bench.printer.power.get('heaters')).toBe('on');
    await expectPaid(rig);
  });

  test("and is Moonraker's no more: Klipper runs all the same", async () => {
    const rig = await setUpKnown();
    await leftOff(rig);
    await expect(repairBoard(rig.bench, rig.place)).rejects.toMatchObject({ code: 'printer-unreachable' });
    expectSafe(rig);
    expect(rig.bench.locks.holds(`board:${rig.place.board.name}`)).toBe(false);
    rig.bench.dispose();
  });

  test('stays off while a board is in DFU mode that may be this one: nobody knows its port any more', async () => {
    const rig = await setUp();
    rig.bench.printer.power.set('heaters', 'off');
    const away = rig.bench.addDevice({ busPath: '1-9', vendorId: 0x0483, productId: 0xdf11 });
    await rig.bench.clock.sleep(1000);
    await leftOff(rig);
    const place = { ...rig.place, pins: undefined };
    const outcome = await repairBoard(rig.bench, place);
    expect(outcome).toMatchObject({ kind: 'needs', error: { code: 'no-boot', place: 'DFU mode' } });
    expect(rig.bench.printer.power.get('heaters')).toBe('off');
    expectSafe(rig);
    // It is on record still, and the next start gives it its power.
    away();
    await rig.bench.clock.sleep(1000);
    expect(await isOwed(rig.bench, place)).toBe(true);
    expect(await repairBoard(rig.bench, place)).toEqual({ kind: 'nothing' });
    expect(rig.bench.printer.power.get('heaters')).toBe('on');
    await expectPaid(rig);
  });
});

test('a toolhead whose Katapult lost its power: finished over CAN', async () => {
  const rig = await setUpKnown({ can: { nodes: [{ model: 'btt-ebb36-v1.2' }, { nodeId: 9 }] } });
  const [node] = rig.bench.can.nodes;
  if (node === undefined) throw new Error('no node');
  const board = { ...boardByName('btt-ebb36-v1.2'), name: 'ebb' };
  const can = { interfaceName: 'can0', uuid: node.uuid };
  const place: BoardPlace = { board, pins: undefined, heaters: { kind: 'unknown' }, can };
  const image = forgeKlipper({
    mcu: board.mcu.name,
    linkAddress: board.applicationAddress,
    version: NEW,
    transport: 'can',
  });
  const code = await flashJob(rig, place, image, 'write', () => node.powerOff());
  expect(code).not.toBe('done');
  node.powerOn();
  await rig.bench.settle();
  expect(await repairBoard(rig.bench, place)).toEqual({ kind: 'finished' });
  await rig.bench.settle();
  expect(node.klipper?.version).toBe(NEW);
  expect(await isOwed(rig.bench, place)).toBe(false);
  expectSafe(rig);
  rig.bench.dispose();
});

test('a toolhead that had nothing to run stays in the Katapult in which a dead job has left it', async () => {
  const node = { model: 'btt-ebb36-v1.2', state: 'katapult-empty' } as const;
  const rig = await setUp({ clock: 'hasty', can: { nodes: [node, { nodeId: 9 }] } });
  const [ours] = rig.bench.can.nodes;
  if (ours === undefined) throw new Error('no node');
  const board = { ...boardByName('btt-ebb36-v1.2'), name: 'ebb' };
  const can = { interfaceName: 'can0', uuid: ours.uuid };
  const place: BoardPlace = { board, pins: undefined, heaters: { kind: 'unknown' }, can };
  const journal = {
    job: 'x',
    method: 'octopus.flash',
    board: 'ebb',
    startedAt: '2026-01-05T00:00:00.000Z',
    endedAs: null,
    steps: [
      { atMs: 1, kind: 'stop-klipper' },
      { atMs: 2, kind: 'enter' },
    ],
  };
  await rig.bench.store.write('journal/ebb.json', seal(journal));
  expect(await repairBoard(rig.bench, place)).toEqual({ kind: 'nothing' });
  await rig.bench.settle();
  expect(ours.running.kind).toBe('katapult');
  // Nothing can be done for it but a flash, and no start tries again.
  expect(await isOwed(rig.bench, place)).toBe(false);
  expectSafe(rig);
  rig.bench.dispose();
});
