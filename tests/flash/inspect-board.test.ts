// What lies on a chip, told from its bytes: for every past that a board may have, by every bootloader, changing nothing.
import { describe, expect, test } from '@jest/globals';
import { boardByName } from '../../src/boards/boards.ts';
import { inspectBoard, type BoardInspected } from '../../src/flash/inspect-board.ts';
import type { BoardPlace } from '../../src/flash/place.ts';
import type { ProgramReport } from '../../src/flash/program-report.ts';
import type { BoardState } from '../../src/virtual/board-data.ts';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import { KATAPULT_VERSION, OLD_KLIPPER } from '../../src/virtual/forge.ts';
import {
  expectSafe,
  failureOf,
  flashBytes,
  klipperFor,
  setUp,
  TWO_BOARDS,
  type TestBench,
} from '../support/bench.ts';
import { erasesOf, wholeFlash } from '../support/untouched.ts';
import { setUpKnown } from '../support/walks.ts';

const BASE = 0x0800_0000;
const K = 1024;
const [F446, H723] = TWO_BOARDS;
const NEW = 'v0.13.0-1-gabcdef0';
const confirm = ['cold', 'still'] as const;

/** Looks, and holds that nothing was changed and nothing kept. */
async function look(rig: TestBench, place: BoardPlace = rig.place): Promise<BoardInspected> {
  const before = wholeFlash(rig);
  const [erases, programmed] = [erasesOf(rig), rig.bench.flash.statistics.bytesProgrammed];
  const backups = await rig.kit.store.list('backups');
  const found = await inspectBoard(rig.kit, { place, confirm }, () => {});
  expect(wholeFlash(rig).equals(before)).toBe(true);
  expect([erasesOf(rig), rig.bench.flash.statistics.bytesProgrammed]).toEqual([erases, programmed]);
  expect(await rig.kit.store.list('backups')).toEqual(backups);
  expectSafe(rig);
  // From the first byte to the last, each once.
  let at = BASE;
  for (const region of found.map) {
    expect(region.address).toBe(at);
    at += region.sizeBytes;
  }
  expect(at - BASE).toBe(found.flashSizeBytes);
  return found;
}

const blankSectors = ({ bench }: TestBench) =>
  bench.flash.mcu.sectors
    .filter(({ address, sizeBytes }) => bench.flash.peek(address, sizeBytes).every((byte) => byte === 0xff))
    .map(({ address }) => address);
const holds = ({ map }: BoardInspected) => map.map((region) => region.holds);

type Expected = Partial<ProgramReport> | null;
const klipper = (transport: string): Expected => ({
  kind: 'klipper',
  version: OLD_KLIPPER,
  transport: transport as never,
  integrity: 'whole',
});
const stock: Expected = { kind: 'stock-bootloader', address: BASE };
const katapult = (transport: string): Expected => ({
  kind: 'katapult',
  version: KATAPULT_VERSION,
  transport: transport as never,
  integrity: 'whole',
});

/** By the ROM, which shows every byte. */
const STATES: Readonly<
  Record<
    Exclude<BoardState, 'read-protected' | 'katapult-empty'>,
    { bootloader: Expected; application: Expected }
  >
> = {
  used: { bootloader: stock, application: klipper('usb') },
  'write-protected': { bootloader: stock, application: klipper('usb') },
  bridge: { bootloader: stock, application: klipper('bridge') },
  'bridge-katapult': { bootloader: katapult('usb'), application: klipper('bridge') },
  'can-node': { bootloader: katapult('can'), application: klipper('can') },
  'can-node-stock': { bootloader: stock, application: klipper('can') },
  katapult: { bootloader: katapult('usb'), application: klipper('usb') },
  'no-bootloader': { bootloader: null, application: { ...klipper('usb'), address: BASE } },
  bricked: { bootloader: stock, application: { version: null, integrity: 'half-written' } },
  blank: { bootloader: null, application: null },
};

describe.each(TWO_BOARDS)('%s', (board) => {
  test.each(Object.entries(STATES))('%s', async (state, { bootloader, application }) => {
    const rig = await setUp({ board, state: state as BoardState });
    const found = await look(rig);
    const { applicationAddress, mcu } = rig.place.board;
    expect(found).toMatchObject({
      through: 'rom',
      mcu: mcu.name,
      flashSizeBytes: 512 * K,
      isReadProtected: false,
    });
    if (bootloader === null) expect(found.bootloader).toBeNull();
    else {
      expect(found.bootloader).toMatchObject(bootloader);
      expect(found.bootloader?.launchAddress).toBe(applicationAddress);
    }
    if (application === null) expect(found.application).toBeNull();
    else expect(found.application).toMatchObject({ address: applicationAddress, ...application });
    if (state !== 'bricked')
      expect(found.application?.linkAddress ?? null).toBe(found.application?.address ?? null);
    expect(found.freeSectors.map(({ address }) => address)).toEqual(blankSectors(rig));
    expect(found.unreadBytes).toBe(0);
    expect(holds(found)).not.toContain('unread');
    // Remains of earlier firmware in the second half.
    expect(holds(found).includes('data')).toBe(state !== 'blank');
    expect([found.lastFlash, found.unfinished]).toEqual([null, null]);
    rig.bench.dispose();
  });

  test('its length, its hash, and whether it is what was flashed last', async () => {
    const rig = await setUp({ board });
    const image = klipperFor(rig);
    await flashBytes(rig, image);
    const found = await look(rig);
    expect(found.application).toMatchObject({ version: NEW, sizeBytes: image.length, integrity: 'whole' });
    expect(found.lastFlash).toMatchObject({ kind: 'klipper', version: NEW, isThere: true });
    // Somebody else has flashed it since.
    rig.bench.flash.load(rig.place.board.applicationAddress, klipperFor(rig, { version: 'v0.11.0-1' }));
    const again = await look(rig);
    expect(again.application).toMatchObject({ version: 'v0.11.0-1', integrity: 'whole' });
    expect(again.lastFlash).toMatchObject({ version: NEW, isThere: false });
    rig.bench.dispose();
  });

  test('read protection is an answer', async () => {
    const rig = await setUp({ board, state: 'read-protected' });
    const found = await look(rig);
    expect(found).toMatchObject({
      isReadProtected: true,
      writeProtected: null,
      bootloader: null,
      application: null,
      freeSectors: [],
    });
    expect(holds(found)).toEqual(['unreadable']);
    await rig.bench.settle();
    expect(rig.bench.board.klipper?.version).toBe(OLD_KLIPPER);
    rig.bench.dispose();
  });

  test.each<[string, BenchOptions['rom'], boolean]>([
    ['told', { otherAlts: 'readable' }, true],
    ['not told', { otherAlts: 'refused' }, false],
    ['asked, and the chip hangs', { otherAlts: 'hang' }, false],
  ])('write protection: %s', async (_name, rom, isTold) => {
    const rig = await setUp({ board, rom: rom ?? {} });
    const sector = rig.place.board.applicationAddress;
    rig.bench.flash.writeProtected.add(sector);
    expect((await look(rig)).writeProtected).toEqual(isTold ? [sector] : null);
    rig.bench.dispose();
  });

  test('through Katapult: the application, and no more than it takes', async () => {
    const rig = await setUpKnown({ board, state: 'katapult' });
    const found = await look(rig);
    const { applicationAddress } = rig.place.board;
    expect(found).toMatchObject({
      through: 'katapult',
      writeProtected: null,
      chipId: rig.bench.board.data.uid.toLowerCase(),
    });
    expect(found.bootloader).toMatchObject({
      kind: 'katapult',
      version: KATAPULT_VERSION,
      launchAddress: applicationAddress,
      integrity: 'unproven',
      why: expect.stringContaining('not read'),
    });
    expect(found.application).toMatchObject({ ...klipper('usb'), address: applicationAddress });
    expect(found.unreadBytes).toBe(512 * K - (applicationAddress - BASE) - 48 * K);
    expect(holds(found)).toContain('unread');
    await rig.bench.settle();
    expect(rig.bench.board.klipper?.version).toBe(OLD_KLIPPER);
    rig.bench.dispose();
  });

  test('a Katapult that waits for an application', async () => {
    const rig = await setUp({ board, state: 'katapult-empty' });
    const found = await look(rig);
    expect(found).toMatchObject({
      through: 'katapult',
      bootloader: { kind: 'katapult', transport: 'usb', version: KATAPULT_VERSION },
      application: null,
    });
    expect(found.unreadBytes).toBeGreaterThan(0);
    rig.bench.dispose();
  });

  test('through Katapult: a large one is read to its end', async () => {
    const rig = await setUpKnown({ board, state: 'katapult' });
    const image = klipperFor(rig, { sizeBytes: 110 * K });
    await flashBytes(rig, image);
    const found = await look(rig);
    expect(found.application).toMatchObject({ version: NEW, sizeBytes: 110 * K, integrity: 'whole' });
    expect(found.lastFlash?.isThere).toBe(true);
    rig.bench.dispose();
  });

  test('the gate is asked, and nothing touched', async () => {
    const rig = await setUp({ board });
    rig.bench.printer.reading = { printing: true };
    const work = inspectBoard(rig.kit, { place: rig.place, confirm: [] }, () => {});
    expect(await failureOf(work)).toMatchObject({ code: 'gate-closed' });
    expect(rig.bench.usb.transfers.total).toBe(0);
    rig.bench.dispose();
  });
});

describe('a flash that was cut off', () => {
  /** The power goes at the n-th block of data; then the light is on again. */
  async function cutOff(board: string, block: number, state: BoardState = 'used'): Promise<TestBench> {
    const rig = await setUpKnown({ board, state, rom: { readBeforeWrite: 'off', eccRead: 'hang' } });
    let blocks = 0;
    rig.bench.faults.beforeTransfer = (_n, { bRequest, wValue }) => {
      if (bRequest === 1 && wValue >= 2 && ++blocks === block) rig.bench.powerCut();
      return undefined;
    };
    expect(await failureOf(flashBytes(rig, klipperFor(rig)))).toMatchObject({ code: 'device-gone' });
    rig.bench.faults.beforeTransfer = undefined;
    rig.bench.powerOn();
    await rig.bench.settle();
    return rig;
  }

  test.each([
    [F446, 1],
    [F446, 5],
    [F446, 20],
    [H723, 1],
    [H723, 30],
  ])('%s, at block %d: half-written, by its content and by what is on record', async (board, block) => {
    const rig = await cutOff(board, block);
    const found = await look(rig);
    expect(found.bootloader).toMatchObject({ kind: 'stock-bootloader' });
    expect(found.application).toMatchObject({
      kind: 'klipper',
      integrity: 'half-written',
      address: rig.place.board.applicationAddress,
    });
    expect(found.unfinished).toMatchObject({ version: NEW, isThere: false });
    // Finished, it is whole, and nothing is open any more.
    await flashBytes(rig, klipperFor(rig));
    expect(await look(rig)).toMatchObject({
      application: { version: NEW, integrity: 'whole' },
      unfinished: null,
    });
    rig.bench.dispose();
  });

  test('cut off before anything was erased: what is on record does not make a whole firmware half', async () => {
    const rig = await setUpKnown({ board: F446 });
    rig.bench.faults.beforeTransfer = (_n, { bRequest }, data) => {
      if (bRequest === 1 && data[0] === 0x41) rig.bench.unplug();
      return undefined;
    };
    await failureOf(flashBytes(rig, klipperFor(rig)));
    rig.bench.faults.beforeTransfer = undefined;
    rig.bench.replug();
    const found = await look(rig);
    expect(found.application).toMatchObject({ version: OLD_KLIPPER, integrity: 'whole' });
    expect(found.unfinished).toMatchObject({ version: NEW, isThere: false });
    rig.bench.dispose();
  });

  test('nothing is on record (another host has done it): the content alone says so', async () => {
    const rig = await cutOff(F446, 20);
    for (const key of await rig.kit.store.list('')) await rig.kit.store.remove(key);
    const found = await look(rig);
    expect(found.unfinished).toBeNull();
    expect(found.application).toMatchObject({
      integrity: 'half-written',
      why: expect.stringMatching(/blank/),
    });
    rig.bench.dispose();
  });

  test('an H7 whose word was cut in two cannot be read there', async () => {
    const rig = await setUpKnown({ board: H723, rom: { eccRead: 'hang' } });
    let blocks = 0;
    rig.bench.faults.beforeTransfer = (_n, { bRequest, wValue }) => {
      if (bRequest === 1 && wValue >= 2) blocks += 1;
      if (blocks === 7 && bRequest === 3) {
        blocks += 1;
        void rig.bench.clock.sleep(4).then(() => rig.bench.powerCut());
      }
      return undefined;
    };
    await failureOf(flashBytes(rig, klipperFor(rig)));
    rig.bench.faults.beforeTransfer = undefined;
    rig.bench.powerOn();
    await rig.bench.settle();
    for (const key of await rig.kit.store.list('replacements')) await rig.kit.store.remove(key);
    const found = await look(rig);
    expect(found.application).toMatchObject({
      integrity: 'half-written',
      why: expect.stringContaining('0x08020000 cannot be read'),
    });
    rig.bench.dispose();
  });
});

test('a chip with less flash than it claims: the map ends where it does', async () => {
  const rig = await setUp({ board: H723, flashKib: 256 });
  const found = await inspectBoard(rig.kit, { place: rig.place, confirm }, () => {});
  const last = found.map.at(-1);
  expect((last?.address ?? 0) + (last?.sizeBytes ?? 0)).toBe(BASE + 256 * K);
  expect(found).toMatchObject({ flashSizeBytes: 256 * K, application: { version: OLD_KLIPPER } });
  rig.bench.dispose();
});

describe('a toolhead on CAN', () => {
  test.each(['btt-ebb36-v1.2', 'mellow-fly-sht36-v1', 'btt-sb2209-rp2040'] as const)('%s', async (model) => {
    const rig = await setUp({ can: { nodes: [{ model }] } });
    const [node] = rig.bench.can.nodes;
    if (node === undefined) throw new Error('no node');
    const board = boardByName(model);
    const place: BoardPlace = {
      board: { ...board, name: 'ebb' },
      pins: undefined,
      heaters: { kind: 'unknown' },
      can: { interfaceName: 'can0', uuid: node.uuid },
    };
    const found = await inspectBoard(rig.kit, { place, confirm }, () => {});
    expect(found).toMatchObject({
      through: 'katapult',
      busPath: `can0/${node.uuid}`,
      bootloader: { kind: 'katapult', transport: 'can' },
      application: {
        kind: 'klipper',
        transport: 'can',
        integrity: 'whole',
        address: board.applicationAddress,
      },
    });
    expect(found.unreadBytes).toBeGreaterThan(0);
    expectSafe(rig);
    rig.bench.dispose();
  });
});
