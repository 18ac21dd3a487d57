// What is about to be overwritten is on the disk and was read back from there before the last exit, by whatever way it
// would go: a disk that lies or fails ends the job there, and nothing on the board has changed.
import { describe, expect, test } from '@jest/globals';
import { boardByName } from '../../src/boards/boards.ts';
import { OctopusError } from '../../src/errors.ts';
import { listBackups, readBackup } from '../../src/flash/backup.ts';
import { flash } from '../../src/flash/flash.ts';
import type { BoardPlace } from '../../src/flash/place.ts';
import { forgeKatapult, forgeKlipper, forgeStockBootloader, OLD_KLIPPER } from '../../src/virtual/forge.ts';
import type { VirtualBench } from '../../src/virtual/bench.ts';
import {
  expectSafe,
  failureOf,
  flashBytes,
  klipperFor,
  orderFor,
  setUp,
  TWO_BOARDS,
  type TestBench,
} from '../support/bench.ts';
import { backUp, keepBytes, putBack } from '../support/kept.ts';
import { expectUntouched, wholeFlash } from '../support/untouched.ts';

const BASE = 0x0800_0000;
const isBackup = (key: string) => key.startsWith('backups/');

/** How a disk lies from now on, and what of it is told. */
const LIES: Record<string, (store: VirtualBench['store']) => void> = {
  'a bit of the bytes tips over': (store) => tipping(store, '.bin'),
  'a bit of the description tips over': (store) => tipping(store, '.json'),
  'what was written is never there': (store) => {
    const write = store.write.bind(store);
    store.write = async (key, bytes) => (isBackup(key) ? undefined : write(key, bytes));
  },
  'the bytes are cut short': (store) => {
    const write = store.write.bind(store);
    store.write = (key, bytes) => write(key, isBackup(key) ? bytes.subarray(0, bytes.length - 1) : bytes);
  },
  'what was written cannot be read': (store) => {
    const [write, read] = [store.write.bind(store), store.read.bind(store)];
    const fresh = new Set<string>();
    store.write = (key, bytes) => {
      fresh.add(key);
      return write(key, bytes);
    };
    store.read = async (key) => {
      if (isBackup(key) && fresh.has(key)) throw storeFailed(key);
      return read(key);
    };
  },
  'it is full': (store) => {
    const write = store.write.bind(store);
    store.write = async (key, bytes) => {
      if (isBackup(key)) throw storeFailed(key);
      return write(key, bytes);
    };
  },
};

function tipping(store: VirtualBench['store'], ending: string): void {
  const write = store.write.bind(store);
  store.write = (key, bytes) =>
    write(
      key,
      isBackup(key) && key.endsWith(ending) ? bytes.map((byte, at) => (at === 40 ? byte ^ 1 : byte)) : bytes,
    );
}

function storeFailed(key: string) {
  return new OctopusError('store-failed', 'input/output error', { place: key, advice: 'Check the disk.' });
}

/** The ways by which a bootloader can be replaced, over a board whose bootloader nobody has kept yet. */
const WAYS: Record<string, (rig: TestBench, prepared: string) => Promise<unknown>> = {
  'flash of another bootloader': (rig) =>
    flashBytes(rig, forgeKatapult({ mcu: rig.place.board.mcu.name, seed: 9 }), { replaceBootloader: true }),
  'flash of a Klipper that needs none': (rig) =>
    flashBytes(rig, klipperFor(rig, { linkAddress: BASE }), { replaceBootloader: true }),
  'restore of a whole copy': (rig, whole) => putBack(rig, whole),
  'restore of a bootloader': (rig, whole) => putBack(rig, whole, { what: 'bootloader' }),
  "restore of a maker's file": (rig) =>
    putBack(rig, { name: 'b.hex', bytes: forgeStockBootloader({ mcu: rig.place.board.mcu.name, seed: 9 }) }),
  'restore of a bootloader with its application': (rig, whole) =>
    putBack(rig, whole, { what: 'bootloader', application: { name: 'k.bin', bytes: klipperFor(rig) } }),
};

/** A board that is known and kept as a whole; since then somebody has put another bootloader on it. */
async function setUpChanged(board: string, isKnown: boolean) {
  const rig = await setUp({ board });
  const own = forgeKatapult({ mcu: rig.place.board.mcu.name, seed: 5 });
  let whole = '';
  if (isKnown) whole = (await backUp(rig)).backup.id;
  else whole = await keepBytes(rig, BASE, wholeFlash(rig), { what: 'whole' });
  rig.bench.flash.load(BASE, new Uint8Array(rig.place.board.applicationAddress - BASE).fill(0xff));
  rig.bench.flash.load(BASE, own);
  await rig.bench.pressReset();
  await rig.bench.settle();
  return { rig, own, whole };
}

describe.each(TWO_BOARDS)('%s', (board) => {
  describe.each(Object.entries(WAYS))('%s', (_way, work) => {
    test.each(Object.keys(LIES))('%s: nothing is touched', async (lie) => {
      for (const isKnown of [true, false]) {
        const { rig, whole } = await setUpChanged(board, isKnown);
        const kept = await listBackups(rig.kit, board);
        LIES[lie]?.(rig.bench.store);
        const expected = { code: 'store-failed', place: /^backups\//, visited: true };
        await expectUntouched(rig, () => work(rig, whole), expected);
        // What was kept before is still there.
        expect(await listBackups(rig.kit, board)).toEqual(expect.arrayContaining([...kept]));
        rig.bench.dispose();
      }
    });

    test('with an honest disk the old bootloader is on it, whole', async () => {
      const { rig, own, whole } = await setUpChanged(board, true);
      const area = rig.place.board.applicationAddress - BASE;
      const before = wholeFlash(rig).subarray(0, area);
      await work(rig, whole);
      const copies = await Promise.all(
        (await listBackups(rig.kit, board)).map(({ id }) => readBackup(rig.kit, board, id)),
      );
      expect(
        copies.some(({ record, bytes }) => record.address === BASE && before.equals(bytes.subarray(0, area))),
      ).toBe(true);
      expect(Buffer.from(own).equals(before.subarray(0, own.length))).toBe(true);
      expectSafe(rig);
      rig.bench.dispose();
    });

    test('the same bytes, kept once and rotten since: they are kept anew, or nothing is touched', async () => {
      const { rig, whole } = await setUpChanged(board, true);
      const area = rig.place.board.applicationAddress - BASE;
      const id = await keepBytes(rig, BASE, wholeFlash(rig).subarray(0, area));
      const key = `backups/${board}/${id}.bin`;
      const sound = (await rig.kit.store.read(key)) ?? new Uint8Array(0);
      await rig.kit.store.write(
        key,
        sound.map((byte, at) => (at === 40 ? byte ^ 1 : byte)),
      );
      tipping(rig.bench.store, '.bin');
      await expectUntouched(rig, () => work(rig, whole), { code: 'store-failed', visited: true });
      rig.bench.dispose();
    });
  });
});

describe('a toolhead, by its Katapult', () => {
  async function setUpNode() {
    const rig = await setUp({ can: { nodes: [{ model: 'btt-ebb36-v1.2' }] } });
    const [node] = rig.bench.can.nodes;
    if (node === undefined) throw new Error('no node');
    const board = { ...boardByName('btt-ebb36-v1.2'), name: 'ebb' };
    const place: BoardPlace = {
      board,
      pins: undefined,
      heaters: { kind: 'unknown' },
      can: { interfaceName: 'can0', uuid: node.uuid },
    };
    const image = forgeKlipper({
      mcu: board.mcu.name,
      linkAddress: board.applicationAddress,
      version: 'v0.13.0-1-gabcdef0',
      transport: 'can',
    });
    const flashOf = () => Buffer.from(node.flash.peek(board.mcu.flashBase, 128 * 1024));
    const flashIt = () => flash(rig.kit, { ...orderFor(rig, image), place }, () => {});
    return { rig: { ...rig, place: rig.place }, node, place, flashOf, flashIt };
  }

  test.each(Object.keys(LIES))('%s: nothing is written to it', async (lie) => {
    const { rig, node, flashOf, flashIt } = await setUpNode();
    const [before, runs] = [flashOf(), node.klipper?.version];
    LIES[lie]?.(rig.bench.store);
    expect(await failureOf(flashIt())).toMatchObject({
      code: 'store-failed',
      onBoard: expect.stringMatching(/not changed/),
    });
    expect(flashOf().equals(before)).toBe(true);
    await rig.bench.clock.sleep(2000);
    expect(node.klipper?.version).toBe(runs);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('no restore reaches its bootloader, and all give its application back', async () => {
    const { rig, node, place, flashOf, flashIt } = await setUpNode();
    const { applicationAddress, mcu } = place.board;
    const area = applicationAddress - mcu.flashBase;
    const before = flashOf();
    const { backup } = await flashIt();
    for (const what of ['whole', 'application', undefined] as const) {
      expect(await putBack({ ...rig, place }, backup?.id ?? '', { what })).toMatchObject({
        state: 'done',
        verified: true,
      });
      expect(node.klipper?.version).toBe(OLD_KLIPPER);
      expect(flashOf().subarray(0, area).equals(before.subarray(0, area))).toBe(true);
      await flashIt();
    }
    expect(await putBack({ ...rig, place }, 'last')).toMatchObject({ state: 'done', version: OLD_KLIPPER });
    const alone = putBack({ ...rig, place }, backup?.id ?? '', { what: 'bootloader' });
    expect(await failureOf(alone)).toMatchObject({
      code: 'wrong-address',
      advice: expect.stringMatching(/by USB/),
    });
    expectSafe(rig);
    rig.bench.dispose();
  });
});
