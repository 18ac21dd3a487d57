// Cancelled at every single event: before the last exit the board is as it was and its old firmware runs; behind it the
// flash runs to its end.
import { expect, jest, test } from '@jest/globals';
import { flash } from '../../src/flash/flash.ts';
import { takeBackup } from '../../src/flash/take-backup.ts';
import type { FlashEvent } from '../../src/flash/report.ts';
import {
  expectSafe,
  flashBytes,
  klipperFor,
  orderFor,
  setUp,
  TWO_BOARDS,
  type TestBench,
} from '../support/bench.ts';
import { expectUntouched } from '../support/untouched.ts';

jest.setTimeout(60_000);

const OLD = 'v0.12.0-85-gd785b396';
const NEW = 'v0.13.0-2-gfeedbee';

/** A board whose whole flash was kept before, so that a flash has fewer events. */
async function knownBoard(board: string, kept: ReadonlyMap<string, Uint8Array>): Promise<TestBench> {
  const rig = await setUp({ board });
  for (const [key, bytes] of kept) await rig.kit.store.write(key, bytes);
  return rig;
}

async function keptCopies(board: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const rig = await setUp({ board });
  await takeBackup(rig.kit, { place: rig.place, confirm: [] }, () => {});
  const copies = new Map<string, Uint8Array>();
  for (const key of await rig.kit.store.list('backups'))
    copies.set(key, (await rig.kit.store.read(key)) ?? new Uint8Array(0));
  rig.bench.dispose();
  return copies;
}

/** A flash that is cancelled when event number `index` is told. */
function cancelledAt(rig: TestBench, index: number) {
  const cancel = new AbortController();
  let n = 0;
  return flash(
    rig.kit,
    orderFor(rig, klipperFor(rig, { version: NEW })),
    () => {
      if (n++ === index) cancel.abort();
    },
    cancel.signal,
  );
}

/** The first event behind the last exit. */
const isBehindExit = (event: FlashEvent) => event.kind === 'phase' && event.phase === 'erase';

async function expectCancelled(rig: TestBench, index: number): Promise<void> {
  const failure = await expectUntouched(rig, () => cancelledAt(rig, index), { code: 'cancelled' }, OLD);
  // Nothing to say about the board as long as only the image was looked at.
  expect([index, failure.onBoard]).toEqual([index, expect.stringMatching(/not changed/)]);
  expect(rig.steps.some(({ kind }) => kind === 'erase' || kind === 'write')).toBe(false);
}

async function expectCompleted(rig: TestBench, index: number): Promise<void> {
  const result = await cancelledAt(rig, index);
  expect([index, result]).toMatchObject([index, { state: 'done', verified: true, printer: 'ready' }]);
  expect(rig.bench.board.klipper?.version).toBe(NEW);
  expectSafe(rig);
}

test.each([
  [TWO_BOARDS[0], 'known', 1],
  [TWO_BOARDS[0], 'met for the first time', 17],
  [TWO_BOARDS[1], 'known', 17],
] as const)('%s, %s', async (board, acquaintance, stride) => {
  const kept = acquaintance === 'known' ? await keptCopies(board) : new Map<string, Uint8Array>();
  const rehearsal = await knownBoard(board, kept);
  const { events } = await flashBytes(rehearsal, klipperFor(rehearsal, { version: NEW }));
  rehearsal.bench.dispose();
  const exit = events.findIndex(isBehindExit);
  expect(exit).toBeGreaterThan(10);
  expect(events.length - exit).toBeGreaterThan(20);
  for (let index = 0; index < events.length; index += stride) {
    const rig = await knownBoard(board, kept);
    await (index < exit ? expectCancelled : expectCompleted)(rig, index);
    rig.bench.dispose();
  }
});

test('before it has begun: Klipper is not even stopped', async () => {
  const rig = await setUp();
  const stopped = jest.spyOn(rig.bench.printer, 'stopKlipper');
  const image = klipperFor(rig);
  const work = () => flashBytes(rig, image, {}, AbortSignal.abort());
  await expectUntouched(rig, work, { code: 'cancelled', visited: false });
  expect(stopped).not.toHaveBeenCalled();
  expect(rig.steps).toEqual([]);
  rig.bench.dispose();
});

test('while Klipper is being stopped: it is started again, and no line moves', async () => {
  const rig = await setUp();
  const cancel = new AbortController();
  const work = flashBytes(rig, klipperFor(rig), {}, cancel.signal);
  const soon = rig.bench.clock.sleep(200).then(() => cancel.abort());
  await expectUntouched(rig, () => work, { code: 'cancelled', visited: false });
  await soon;
  rig.bench.dispose();
});

test('while the ROM is awaited: both lines float at once', async () => {
  const rig = await setUp();
  const { clock, lines } = rig.bench;
  const cancel = new AbortController();
  let abortedAt = Infinity;
  const abortSoon = async (): Promise<void> => {
    await clock.sleep(60);
    abortedAt = clock.now();
    cancel.abort();
  };
  const floatedAt: number[] = [];
  lines.onLineChange(({ pin, drive }) => {
    if (pin === 'gpio19' && drive === 'floating' && abortedAt === Infinity) void abortSoon();
    if (pin === 'gpio26' && drive === 'floating') floatedAt.push(clock.now());
  });
  const work = () => flashBytes(rig, klipperFor(rig), {}, cancel.signal);
  await expectUntouched(rig, work, { code: 'cancelled', visited: true });
  expect(floatedAt[0]).toBe(abortedAt);
  rig.bench.dispose();
});
