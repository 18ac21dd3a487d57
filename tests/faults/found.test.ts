// What the matrix has found, each as a case of its own: the moment is named by what happens there, not by its number.
import { expect, test } from '@jest/globals';
import { faultByName } from './faults.ts';
import { rehearse, tryCase } from './trial.ts';
import { wayByName } from './ways.ts';

interface Found {
  readonly way: string;
  readonly fault: string;
  /** What happens at the moment, and at the how manieth of those that are alike, from 0; of a negative one from the end. */
  readonly at: readonly [what: string, index: number];
}

async function outcomeOf({ way: name, fault, at: [what, index] }: Found) {
  const way = wayByName(name);
  const alike = (await rehearse(way)).filter((moment) => moment.what === what);
  const moment = alike.at(index);
  if (moment === undefined) throw new Error(`${name} has no "${what}" number ${index}`);
  return tryCase({ way, fault: faultByName(fault), n: moment.n });
}

test('killed when the start of Klipper was on record and not yet asked for: it is started', async () => {
  const { problems, story } = await outcomeOf({
    way: 'dfuse f446',
    fault: 'sigkill',
    at: ['printer.start', 0],
  });
  expect([problems, story]).toEqual([[], ['flash: killed', 'start: nothing']]);
});

test.each(['can f446', 'can ebb36'])(
  '%s: killed in Katapult, which keeps its id and is silent: it is let go',
  async (way) => {
    const { problems, story } = await outcomeOf({ way, fault: 'sigkill', at: ['out request-block', 3] });
    expect([problems, story]).toEqual([[], expect.arrayContaining(['flash: killed', 'start: released'])]);
  },
);
