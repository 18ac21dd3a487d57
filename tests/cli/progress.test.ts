// The bar and the lines, drawn on fake streams.
import { afterEach, expect, test } from '@jest/globals';
import { Course } from '../../src/cli/course.ts';
import { Output } from '../../src/cli/output.ts';
import { progressFor } from '../../src/cli/progress.ts';
import type { FlashEvent, Phase } from '../../src/flash/report.ts';
import { fakeStreams, frames } from './streams.ts';

let nowMs = 0;
const now = () => nowMs;
afterEach(() => {
  nowMs = 0;
});

const phase = (name: Phase): FlashEvent => ({ kind: 'phase', phase: name });
const bytes = (name: Phase, doneBytes: number, totalBytes: number): FlashEvent => ({
  kind: 'progress',
  phase: name,
  doneBytes,
  totalBytes,
});
/** A flash whose read-back differs once, so that it erases and writes a second time. */
const FLASH: readonly FlashEvent[] = [
  phase('preflight'),
  { kind: 'plan', text: 'old -> new, about 6 s', expectMs: 6000 },
  phase('stop'),
  phase('enter'),
  ...[0, 2048, 4096].map((done) => bytes('backup', done, 4096)),
  ...[0, 16, 32].map((done) => bytes('erase', done, 32)),
  ...[0, 1024, 2048].map((done) => bytes('write', done, 2048)),
  ...[0, 2048].map((done) => bytes('verify', done, 2048)),
  { kind: 'note', text: 'differs, once more' },
  ...[0, 32].map((done) => bytes('erase', done, 32)),
  ...[0, 2048].map((done) => bytes('write', done, 2048)),
  bytes('verify', 2048, 2048),
  phase('boot'),
  phase('confirm'),
  phase('printer'),
];

test('neither the part done nor the remaining time ever goes back, and the rate is per phase', () => {
  const course = new Course(
    ['preflight', 'stop', 'enter', 'backup', 'erase', 'write', 'verify', 'boot', 'confirm', 'printer'],
    now,
  );
  let last = course.position();
  for (const event of FLASH) {
    course.take(event);
    for (let step = 0; step < 3; step++) {
      nowMs += 100;
      const next = course.position();
      expect(next.fraction).toBeGreaterThanOrEqual(last.fraction);
      expect(next.fraction).toBeLessThan(1);
      if (last.leftMs !== undefined) expect(next.leftMs).toBeLessThanOrEqual(last.leftMs);
      last = next;
    }
    if (event.kind === 'progress' && event.phase === 'backup' && event.doneBytes === 4096) {
      // Two blocks in two events 300 ms apart.
      expect(course.position().bytesPerSecond).toBeCloseTo(4096 / 0.6);
    }
  }
  expect(last.fraction).toBeGreaterThan(0.7);
});

test('a bar on a terminal: phase, percent, rate, remaining time; notes above it; full at the end', async () => {
  const streams = fakeStreams({ columns: 100 });
  const progress = await progressFor(new Output(streams, false), 'octopus.flash', now, false);
  for (const event of FLASH) {
    nowMs += 200;
    progress.take(event);
  }
  progress.note('colour \u001b[31m');
  progress.end(true);
  const drawn = frames(streams.out.text());
  expect(drawn).toContain('old -> new, about 6 s');
  expect(drawn).toContain('note: differs, once more');
  expect(drawn).toContain('note: colour ?[31m');
  expect(drawn.at(-1)).toMatch(/^done +\[=+\] 100%/);
  expect(drawn.filter((line) => line.includes('[=')).every((line) => line.length < 100)).toBe(true);
});

test('after a failure the bar stays where it was', async () => {
  const streams = fakeStreams({ columns: 100 });
  const progress = await progressFor(new Output(streams, false), 'octopus.flash', now, false);
  for (const event of FLASH.slice(0, 9)) progress.take(event);
  progress.end(false);
  expect(frames(streams.out.text()).at(-1)).toMatch(/^erase +\[=+-+\] +\d\d%/);
});

test('no bar: in a pipe, on a dumb or narrow terminal, with --verbose, for what has no length', async () => {
  const cases = [
    [fakeStreams(), 'octopus.flash', false],
    [fakeStreams({ columns: 100 }, { TERM: 'dumb' }), 'octopus.flash', false],
    [fakeStreams({ columns: 40 }), 'octopus.flash', false],
    [fakeStreams({ columns: 100 }), 'octopus.flash', true],
    [fakeStreams({ columns: 100 }), 'octopus.dfu_enter', false],
  ] as const;
  for (const [streams, method, isVerbose] of cases) {
    const progress = await progressFor(new Output(streams, false), method, now, isVerbose);
    for (const event of FLASH) progress.take(event);
    progress.end(true);
    expect(streams.out.text()).toMatch(/^[ -~\n]+$/);
    expect(streams.out.text()).toMatch(/^backup +reading/m);
  }
});

test('under --json nothing at all', async () => {
  const streams = fakeStreams({ columns: 100 });
  const progress = await progressFor(new Output(streams, true), 'octopus.flash', now, false);
  for (const event of FLASH) progress.take(event);
  progress.end(true);
  expect(streams.out.text() + streams.err.text()).toBe('');
});
