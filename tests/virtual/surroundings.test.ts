import { expect, test } from '@jest/globals';
import { createBench } from '../../src/virtual/bench.ts';
import { loadVirtualBoard, virtualBoardNames } from '../../src/virtual/board-data.ts';
import { VirtualClock } from '../../src/virtual/clock.ts';
import { hostDown, hostUp } from '../../src/virtual/host-power.ts';
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
  void store.write('b/1', Uint8Array.of(8));
  store.loseUnflushed('new');
  await clock.sleep(100);
  expect(await store.read('b/1')).toEqual(Uint8Array.of(8));
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

test('the host loses its power and boots: pins float, USB and CAN go and come, Klipper runs whoever had stopped it', async () => {
  const bench = await createBench({ can: { nodes: [{}] } });
  await bench.printer.stopKlipper();
  const lines = await bench.gpio.open({ boot0: 'gpio26', nrst: 'gpio19' });
  await lines.set({ boot0: 'high', nrst: 'low' });
  bench.store.flushMs = 50;
  void bench.store.write('key', Uint8Array.of(1));
  hostDown(bench, 'old');
  await bench.clock.sleep(1000);
  expect(bench.lines.pins()).toEqual({ gpio26: 'floating', gpio19: 'floating' });
  expect(await bench.usb.list()).toEqual([]);
  expect([bench.board.powered, bench.board.running.kind]).toEqual([true, 'klipper']);
  await expect(bench.can.open('can0')).rejects.toMatchObject({ code: 'no-hardware' });
  await expect(bench.printer.read()).rejects.toMatchObject({ code: 'printer-unreachable' });
  expect(await bench.store.read('key')).toBeUndefined();
  hostUp(bench);
  await bench.settle();
  expect(await bench.usb.list()).toHaveLength(1);
  await (await bench.can.open('can0')).close();
  expect(bench.printer.serviceRunning).toBe(true);
  expect(await bench.printer.verdict(30_000)).toMatchObject({ state: 'ready' });
  // What held the pins is gone.
  await (await bench.gpio.open({ boot0: 'gpio26', nrst: 'gpio19' })).close();
  bench.dispose();
});
