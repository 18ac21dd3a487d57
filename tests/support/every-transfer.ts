// Shared by every-transfer-*.test.ts, one file a board so that they run side by side.
// The cable pulled, the answer lost, the power gone, a stall: at every single USB transfer of a flash. It ends in an
// error that says what is on the board now, never in a false success, and the next flash succeeds.
import { describe, expect, jest, test } from '@jest/globals';
import type { TransferFault } from '../../src/virtual/usb-bus.ts';
import { expectSafe, flashBytes, klipperFor, type TestBench } from './bench.ts';
import { setUpKept } from './walks.ts';

const NEW = 'v0.13.0-9';

async function knownBoard(board: string): Promise<{ rig: TestBench; image: Uint8Array }> {
  // The H7's repair of a spoilt write has its own test; here it would only be the same transfers three times.
  const rig = await setUpKept({ board, rom: board.includes('h723') ? { readBeforeWrite: 'off' } : {} });
  return { rig, image: klipperFor(rig, { version: NEW, sizeBytes: 40 * 1024, seed: 2 }) };
}

async function transfersOf(board: string): Promise<number> {
  const { rig, image } = await knownBoard(board);
  const before = rig.bench.usb.transfers.total;
  await flashBytes(rig, image);
  const count = rig.bench.usb.transfers.total - before;
  rig.bench.dispose();
  return count;
}

/** Flashes with one fault at the n-th transfer; returns whether it still ended well. */
async function withFault(board: string, n: number, fault: TransferFault): Promise<'done' | 'failed'> {
  const { rig, image } = await knownBoard(board);
  const first = rig.bench.usb.transfers.total;
  rig.bench.faults.beforeTransfer = (at) => (at === first + n ? fault : undefined);
  let ending: 'done' | 'failed';
  try {
    const result = await flashBytes(rig, image);
    // A success must be a true one.
    expect(result.verified).toBe(true);
    expect(rig.bench.board.klipper?.version).toBe(NEW);
    ending = 'done';
  } catch (error) {
    const { code, onBoard, advice } = error as { code: string; onBoard?: string; advice: string };
    expect(code).not.toBe('internal');
    expect(onBoard ?? '').not.toBe('');
    expect(advice).not.toBe('');
    if (/old firmware is whole|not changed/.test(onBoard ?? '')) {
      const at = rig.place.board.applicationAddress;
      expect(Buffer.from(rig.bench.flash.peek(at, 40 * 1024)).includes(NEW)).toBe(false);
    }
    ending = 'failed';
  }
  expectSafe(rig);
  rig.bench.faults.beforeTransfer = undefined;
  if (fault === 'unplug') rig.bench.replug();
  if (fault === 'power-cut') rig.bench.powerOn();
  const again = await flashBytes(rig, image);
  expect(again).toMatchObject({ state: 'done', verified: true });
  expect(rig.bench.board.klipper?.version).toBe(NEW);
  expectSafe(rig);
  rig.bench.dispose();
  return ending;
}

export function testEveryTransfer(board: string): void {
  // Hundreds of flashes each; on a busy machine that takes a while.
  jest.setTimeout(900_000);

  describe(board, () => {
    test('unplugged at every single transfer', async () => {
      const count = await transfersOf(board);
      expect(count).toBeGreaterThan(60);
      for (let n = 1; n <= count; n++)
        expect([n, await withFault(board, n, 'unplug')]).toEqual([n, 'failed']);
    });

    // A stride that meets every kind of transfer.
    test('power cut at every third transfer', async () => {
      const count = await transfersOf(board);
      for (let n = 1; n <= count; n += 3)
        expect([n, await withFault(board, n, 'power-cut')]).toEqual([n, 'failed']);
    });

    test.each<TransferFault>(['stall', 'lost-answer'])('%s at every third transfer', async (fault) => {
      const count = await transfersOf(board);
      const endings: string[] = [];
      for (let n = 1; n <= count; n += 3) endings.push(await withFault(board, n, fault));
      // Some are absorbed (settling, a lost GETSTATUS), some are not; both must occur, or the fault did not happen.
      expect(new Set(endings)).toEqual(new Set(['done', 'failed']));
    });
  });
}
