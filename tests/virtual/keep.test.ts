import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBench } from '../../src/virtual/bench.ts';
import { forgeKlipper } from '../../src/virtual/forge.ts';

const PINS = { boot0: 'gpio26', nrst: 'gpio19' };
let keepDir = '';
beforeEach(() => {
  keepDir = mkdtempSync(join(tmpdir(), 'bench-'));
});
afterEach(() => rmSync(keepDir, { recursive: true, force: true }));

test('flash survives the bench, change by change', async () => {
  const first = await createBench({ keepDir });
  const image = forgeKlipper({ mcu: 'stm32f446xx', version: 'v0.13.0-1' });
  for (const address of [0x0800_8000, 0x0800_c000, 0x0801_0000]) await first.flash.eraseSector(address);
  await first.flash.program(0x0800_8000, image);
  const bytes = first.flash.peek(0x0800_0000, 0x8_0000);
  expect(new Uint8Array(readFileSync(join(keepDir, 'flash.bin')))).toEqual(bytes);
  first.dispose();
  const second = await createBench({ keepDir });
  expect(second.board.klipper?.version).toBe('v0.13.0-1');
  second.dispose();
});

test('protection survives the bench, and its removal by the chip itself', async () => {
  const state = 'read-protected';
  const first = await createBench({ keepDir, state });
  first.dispose();
  const second = await createBench({ keepDir, state });
  expect(second.flash.readProtected).toBe(true);
  await second.flash.removeReadProtection();
  second.dispose();
  const third = await createBench({ keepDir, state });
  expect(third.flash.readProtected).toBe(false);
  expect(third.flash.peek(0x0800_0000, 0x8_0000).every((byte) => byte === 0xff)).toBe(true);
  third.dispose();
});

test('levels survive the bench: left in reset, left in the ROM, left driving', async () => {
  const first = await createBench({ keepDir });
  const lines = await first.gpio.open(PINS);
  await lines.set({ nrst: 'low' });
  first.dispose();
  const second = await createBench({ keepDir });
  expect([second.board.running.kind, await second.usb.list()]).toEqual(['reset', []]);
  const again = await second.gpio.open(PINS);
  await again.set({ nrst: 'low', boot0: 'high' });
  await second.clock.sleep(100);
  await again.set({ nrst: 'floating' });
  await second.clock.sleep(100);
  second.dispose();
  const third = await createBench({ keepDir });
  expect((await third.usb.list())[0]?.productId).toBe(0xdf11);
  // Floating BOOT0 alone ends no ROM.
  await (await third.gpio.open(PINS)).close();
  third.dispose();
  const fourth = await createBench({ keepDir });
  expect(fourth.board.running.kind).toBe('rom');
  await fourth.pressReset();
  await fourth.settle();
  expect(fourth.board.klipper).toBeDefined();
  fourth.dispose();
});

test('a process killed at any line change leaves the levels it had set', async () => {
  const bench = join(import.meta.dirname, '../../src/virtual/bench.ts');
  const script = `
    const { createBench } = await import(${JSON.stringify(bench)});
    const bench = await createBench({ keepDir: ${JSON.stringify(keepDir)} });
    bench.lines.onLineChange(({ n }) => { if (n === Number(process.argv[1])) process.kill(process.pid, 'SIGKILL'); });
    const lines = await bench.gpio.open({ boot0: 'gpio26', nrst: 'gpio19' });
    await lines.set({ nrst: 'low' });
    await bench.clock.sleep(200);
    await lines.set({ boot0: 'high' });
    await bench.clock.sleep(20);
    await lines.set({ nrst: 'floating' });`;
  const expected = [
    { pins: { gpio19: 'low' }, kind: 'reset' },
    { pins: { gpio19: 'low', gpio26: 'high' }, kind: 'reset' },
    { pins: { gpio19: 'floating', gpio26: 'high' }, kind: 'rom' },
  ];
  for (const [index, { pins, kind }] of expected.entries()) {
    rmSync(keepDir, { recursive: true, force: true });
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script, String(index + 1)], {
      encoding: 'utf8',
    });
    expect([child.signal, child.stderr]).toEqual(['SIGKILL', '']);
    const next = await createBench({ keepDir });
    expect(next.lines.pins()).toEqual(pins);
    expect(next.board.running.kind).toBe(kind);
    next.dispose();
  }
});
