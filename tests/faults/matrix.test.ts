// One moment of each cell of the fault matrix, so that whoever breaks it hears of it at once; `npm run test:faults` has all.
import { expect, jest, test } from '@jest/globals';
import { FAULTS } from './faults.ts';
import { rehearse, tryCase } from './trial.ts';
import { WAYS } from './ways.ts';

jest.setTimeout(300_000);

test.each(WAYS.map((way, row) => [way.name, way, row] as const))('%s', async (_name, way, row) => {
  const moments = await rehearse(way);
  for (const [column, fault] of FAULTS.entries()) {
    const met = moments.filter(fault.meets);
    // Spread over the flash, another part of it in each row.
    const part = ((5 * row + 3 * column + 1) % 17) / 17;
    const moment = met[Math.floor(part * met.length)];
    const { problems, story } = await tryCase({ way, fault, n: moment?.n ?? 0 });
    expect([fault.name, moment?.n, problems, story]).toEqual([fault.name, moment?.n, [], story]);
  }
});
