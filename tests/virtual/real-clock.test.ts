import { expect, test } from '@jest/globals';
import { RealClock } from '../../src/virtual/real-clock.ts';

test.each([0, 0.3, 1.5, 3])('a sleep of %d ms is not shorter', async (ms) => {
  const clock = new RealClock();
  const start = clock.now();
  await clock.sleep(ms);
  expect(clock.now() - start).toBeGreaterThanOrEqual(ms);
});

test.each([0, 0.3])('a sleep of %d ms, shorter than any timer, lets others run', async (ms) => {
  const clock = new RealClock();
  let others = false;
  setImmediate(() => (others = true));
  await clock.sleep(ms);
  expect(others).toBe(true);
});

test('when the bench is gone nobody wakes, and nothing keeps the process', async () => {
  const clock = new RealClock();
  let woke = false;
  void clock.sleep(2).then(() => (woke = true));
  void clock.sleep(0).then(() => (woke = true));
  clock.stop();
  void clock.sleep(0).then(() => (woke = true));
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(woke).toBe(false);
});

test('those who are due wake in the order of their times', async () => {
  const clock = new RealClock();
  const woken: number[] = [];
  const times = [3, 1, 1.001, 2, 1];
  await Promise.all(times.map((ms, index) => clock.sleep(ms).then(() => woken.push(index))));
  expect(woken).toHaveLength(5);
  // However busy the machine: all were asked for in the same moment, give or take less than between these.
  expect(woken.filter((index) => [0, 3].includes(index))).toEqual([3, 0]);
  expect(woken.indexOf(1)).toBeLessThan(woken.indexOf(3));
});
