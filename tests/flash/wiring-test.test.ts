// octopus wiring --test on the virtual bench: every fault of the wires is told by its name, and the times are measured.
import { expect, test } from '@jest/globals';
import { recall } from '../../src/flash/board-memory.ts';
import { testWiring, type WiringProof } from '../../src/flash/wiring-test.ts';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import { expectSafe, failureOf, setUp, type TestBench } from '../support/bench.ts';

async function prove(options: BenchOptions): Promise<{ rig: TestBench; proof: Promise<WiringProof> }> {
  const rig = await setUp(options);
  const proof = testWiring(rig.kit, { place: rig.place, confirm: ['cold', 'still'] }, () => {});
  return { rig, proof };
}

test('good wires: proven, measured, remembered; the flash is as it was', async () => {
  const { rig, proof } = await prove({});
  const before = Buffer.from(rig.bench.flash.peek(0x0800_0000, 512 * 1024)).toString('hex');
  const seen = await proof;
  expect(seen).toMatchObject({ busPath: '1-1.2', runs: 'klipper' });
  expect(seen.romAppearsMs).toBeGreaterThan(0);
  expect(seen.applicationAppearsMs).toBeGreaterThan(0);
  expect(seen.resetHoldMs).toBeLessThanOrEqual(100);
  expect(await recall(rig.kit, rig.place.board.name)).toMatchObject({
    busPath: '1-1.2',
    resetHoldMs: seen.resetHoldMs,
    romAppearsMs: seen.romAppearsMs,
    applicationAppearsMs: seen.applicationAppearsMs,
  });
  expect(Buffer.from(rig.bench.flash.peek(0x0800_0000, 512 * 1024)).toString('hex')).toBe(before);
  expectSafe(rig);
  rig.bench.dispose();
});

test('a big capacitor on reset makes the board slow, and that is what is remembered', async () => {
  const small = await prove({});
  const big = await prove({ lines: { resetCapacitorUf: 47 } });
  const [quick, slow] = [await small.proof, await big.proof];
  expect(slow.romAppearsMs).toBeGreaterThan(quick.romAppearsMs + 500);
  expect(slow.applicationAppearsMs).toBeGreaterThan((quick.applicationAppearsMs ?? 0) + 500);
  small.rig.bench.dispose();
  big.rig.bench.dispose();
});

test.each<[string, BenchOptions, string, RegExp]>([
  ['no reset wire', { lines: { nrstWireMissing: true } }, 'no-device', /reset wire does not reach RST/],
  ['no BOOT0 wire', { lines: { boot0WireMissing: true } }, 'no-device', /BOOT0 does not reach the chip/],
  ['swapped wires', { lines: { wiresSwapped: true } }, 'no-device', /swapped/],
  ['a fitted jumper', { lines: { jumperFitted: true } }, 'no-boot', /jumper is fitted/],
  ['a display on EXP holds BOOT1 high', { lines: { boot1High: true } }, 'no-device', /EXP1\/EXP2/],
])('%s', async (_name, options, code, words) => {
  const { rig, proof } = await prove(options);
  const error = await failureOf(proof);
  expect(error).toMatchObject({ code });
  expect(`${error.message} ${error.advice}`).toMatch(words);
  expectSafe(rig);
  rig.bench.dispose();
});

test('an empty flash: the ROM proves both wires, and no firmware is missed', async () => {
  const { rig, proof } = await prove({ state: 'blank' });
  expect(await proof).toMatchObject({ busPath: '1-1.2', runs: null, resetHoldMs: null });
  expectSafe(rig);
  rig.bench.dispose();
});

test('a bridge is proven as what it is', async () => {
  const { rig, proof } = await prove({ state: 'bridge' });
  expect(await proof).toMatchObject({ runs: 'klipperBridge' });
  expectSafe(rig);
  rig.bench.dispose();
});

test('not while a print runs: nothing is reset', async () => {
  const rig = await setUp({});
  rig.bench.printer.reading = { printing: true };
  const changes: unknown[] = [];
  rig.bench.lines.onLineChange((change) => changes.push(change));
  const order = { place: rig.place, confirm: [] };
  expect(await failureOf(testWiring(rig.kit, order, () => {}))).toMatchObject({ code: 'gate-closed' });
  expect(changes).toEqual([]);
  rig.bench.dispose();
});
