// How long a board is waited for.
import { expect, test } from '@jest/globals';
import { appearTimeoutMs } from '../../src/flash/board-memory.ts';

test.each([
  ['never measured', undefined, 10_000],
  ['a fast one', 100, 2_000],
  ['three times what was measured', 1_500, 4_500],
  ['whatever a file says, half a minute is enough', 1e9, 30_000],
  ['no time before now', -5, 2_000],
])('%s', (_name, measuredMs, waitMs) => {
  expect(appearTimeoutMs(measuredMs)).toBe(waitMs);
});
