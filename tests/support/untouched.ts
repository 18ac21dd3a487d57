// What must hold when a job ends before the last exit: not a bit of the flash has changed, and the old firmware runs.
import { expect } from '@jest/globals';
import { OLD_KLIPPER } from '../../src/virtual/forge.ts';
import { flashSizeBytes } from '../../src/virtual/silicon/silicon.ts';
import { expectSafe, failureOf, type TestBench } from './bench.ts';

export type Failure = Awaited<ReturnType<typeof failureOf>>;

export interface Expectation {
  readonly code: string;
  readonly advice?: RegExp;
  readonly place?: RegExp;
  /** Whether the board's lines were touched before it failed; then the error says what is on it. */
  readonly visited?: boolean;
}

export function wholeFlash({ bench }: Pick<TestBench, 'bench'>): Buffer {
  const { mcu } = bench.flash;
  return Buffer.from(bench.flash.peek(mcu.flashBase, flashSizeBytes(mcu)));
}

/** How often anything was erased so far. */
export function erasesOf({ bench }: Pick<TestBench, 'bench'>): number {
  const { erases, massErases } = bench.flash.statistics;
  return massErases + [...erases.values()].reduce((sum, times) => sum + times, 0);
}

/**
 * `work` must fail as `expected`, and leave the board as it found it.
 * @param runs the Klipper that runs afterwards; null where none did before
 */
export async function expectUntouched(
  rig: TestBench,
  work: () => Promise<unknown>,
  expected: Expectation,
  runs: string | null = OLD_KLIPPER,
): Promise<Failure> {
  const flashBefore = wholeFlash(rig);
  const erasesBefore = erasesOf(rig);
  const programmedBefore = rig.bench.flash.statistics.bytesProgrammed;
  let lineChanges = 0;
  const unsubscribe = rig.bench.lines.onLineChange(() => lineChanges++);

  const failure = await failureOf(work());

  unsubscribe();
  expect(failure.code).toBe(expected.code);
  expect(failure.message).not.toBe('');
  expect(failure.advice).toMatch(expected.advice ?? /\w{3}/);
  if (expected.place !== undefined) expect(failure.place).toMatch(expected.place);
  if (expected.visited === true) {
    expect(lineChanges).toBeGreaterThan(0);
    expect(failure.onBoard).toMatch(/not changed/);
  }
  if (expected.visited === false) expect(lineChanges).toBe(0);

  expect(erasesOf(rig)).toBe(erasesBefore);
  expect(rig.bench.flash.statistics.bytesProgrammed).toBe(programmedBefore);
  expect(wholeFlash(rig).equals(flashBefore)).toBe(true);
  expectSafe(rig);
  await rig.bench.settle();
  expect(rig.bench.board.klipper?.version ?? null).toBe(runs);
  return failure;
}
