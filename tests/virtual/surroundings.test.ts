import { expect, test } from '@jest/globals';
import { createBench } from '../../src/virtual/bench.ts';
import { loadVirtualBoard, virtualBoardNames } from '../../src/virtual/board-data.ts';
import { VirtualClock } from '../../src/virtual/clock.ts';
import { MemoryLocks } from '../../src/virtual/locks.ts';
import { MemoryStore } from '../../src/virtual/store.ts';

test('six boards, each with its own chip id', () => {
  const boards = virtualBoardNames().map((name) => loadVirtualBoard(name));
  expect(boards).toHaveLength(6);
  expect(new Set(boards.map(({ uid }) => uid)).size).toBe(6);
  for (const { uid } of boards) expect(uid).toMatch(/^[0-9a-f]{24}$/);
  expect(() => loadVirtualBoard('octopus-9000')).toThrow(expect.objectContaining({ code: 'unknown-board' }));
});

test('the printer is ready, loses the board, and is ready again with the version on it', async () => {
  const bench = await createBench();
  expect(await bench.printer.read()).toMatchObject({ state: 'ready', printing: false });
  await bench.pressReset();
  await bench.clock.sleep(2000);
  expect(await bench.printer.read()).toMatchObject({ state: 'shutdown' });
  const before = bench.clock.now();
  await bench.printer.stopKlipper();
  expect(bench.clock.now()).toBeGreaterThan(before);
  expect(await bench.printer.read()).toMatchObject({ state: 'disconnected' });
  await bench.printer.startKlipper();
  expect(await bench.printer.verdict(30_000)).toEqual({ state: 'ready', version: 'v0.12.0-85-gd785b396' });
});

test('a printer without its board is not ready, and says why', async () => {
  const bench = await createBench({ state: 'bricked' });
  await bench.printer.stopKlipper();
  await bench.printer.startKlipper();
  expect(await bench.printer.verdict(5000)).toMatchObject({ state: 'not_ready' });
  bench.printer.unreachable = true;
  await expect(bench.printer.read()).rejects.toMatchObject({ code: 'printer-unreachable' });
});

test('what the printer tells can be set', async () => {
  const bench = await createBench();
  bench.printer.reading = { printing: true, state: 'error' };
  expect(await bench.printer.read()).toMatchObject({ printing: true, state: 'error', zHomed: false });
});

test('the store keeps whole values, lists them sorted, and loses what was not flushed', async () => {
  const clock = new VirtualClock();
  const store = new MemoryStore(clock);
  await store.write('b/2', Uint8Array.of(2));
  await store.write('b/1', Uint8Array.of(1));
  await store.write('ba', Uint8Array.of(3));
  expect(await store.list('b')).toEqual(['b/1', 'b/2']);
  store.flushMs = 50;
  let resolved = false;
  void store.write('b/1', Uint8Array.of(9)).then(() => (resolved = true));
  store.loseUnflushed();
  await clock.sleep(100);
  expect([resolved, await store.read('b/1')]).toEqual([false, Uint8Array.of(1)]);
  await store.remove('b/1');
  expect(await store.read('b/1')).toBeUndefined();
  await expect(store.read('../etc')).rejects.toMatchObject({ code: 'store-failed' });
  store.failWrites = true;
  await expect(store.write('x', Uint8Array.of(1))).rejects.toMatchObject({ code: 'store-failed' });
});

test('a lock has one holder, and giving it back twice frees nobody else', async () => {
  const locks = new MemoryLocks();
  const release = await locks.acquire('octopus');
  await expect(locks.acquire('octopus')).rejects.toMatchObject({ code: 'busy' });
  await release();
  await locks.acquire('octopus');
  await release();
  expect(locks.holds('octopus')).toBe(true);
});
