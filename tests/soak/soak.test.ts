// The soak in short; `npm run soak` is the long one. What is counted there is seen to be counted.
import { expect, jest, test } from '@jest/globals';
import { WAYS } from '../faults/ways.ts';
import { growth, soak } from './soak.ts';

jest.setTimeout(300_000);

test('some flashes of each way, one after the other in the same daemon, with what goes wrong by chance: all is well each time', async () => {
  const { tally, lost, measured, starts } = await soak({ flashes: 5 * WAYS.length, seed: 2 });
  expect(lost).toEqual([]);
  const ends = new Set([...tally.keys()].map((what) => what.replace(/.*: /, '')));
  expect([...ends].sort()).toEqual(['done', 'failed', 'killed']);
  expect(starts).toBeGreaterThan(WAYS.length);
  // The last flash of each way has ended, and whatever it waited for with it.
  expect(measured.at(-1)).toMatchObject({ flashes: 5 * WAYS.length, sleepers: 0 });
});

test('growth is what the last quarter has more than the second, the least of each counting', () => {
  const bytes = [900, 400, 300, 310, 300, 999, 320, 330, 340, 400, 999, 420];
  const measured = bytes.map((heapBytes, index) => ({
    flashes: 100 * (index + 1),
    heapBytes,
    buffersBytes: 0,
    handles: 0,
    sleepers: 0,
  }));
  // 300 after 500 flashes, 400 after 1000.
  expect(growth(measured, (one) => one.heapBytes)).toBeCloseTo(200);
});
