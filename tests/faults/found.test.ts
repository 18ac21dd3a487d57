// What the matrix has found, each as a case of its own: the moment is named by what happens there, not by its number.
import { expect, test } from '@jest/globals';
import { faultByName } from './faults.ts';
import { rehearse, tryCase } from './trial.ts';
import { wayByName } from './ways.ts';

interface Found {
  readonly way: string;
  readonly fault: string;
  /** What happens at the moment, and and at the how manieth of those that are alike, from 0. */
  readonly at: readonly [what: string, index: number];
  /** So many moments later. Default 0. */
  readonly later?: number;
}

async function outcomeOf({ way: name, fault, at: [what, index], later = 0 }: Found) {
  const way = wayByName(name);
  const alike = (await rehearse(way)).filter((moment) => moment.what === what);
  const moment = alike.at(index);
  if (moment === undefined) throw new Error(`${name} has no "${what}" number ${index}`);
  return tryCase({ way, fault: faultByName(fault), n: moment.n + later });
}

test.each(['dfuse f446', 'dfuse h723'])(
  '%s: the host loses its power as soon as the first erase has begun: what is owed was on the disk before',
  async (way) => {
    const { problems, story } = await outcomeOf({ way, fault: 'host-power', at: ['erase', 0], later: 1 });
    expect([problems, story]).toEqual([[], expect.arrayContaining(['start: finished'])]);
  },
);

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

test.each([
  ['sigterm', 'out request-block'],
  ['disk-full', 'in ack request-block'],
])(
  'a toolhead whose firmware shows no more than its beginning, %s: it runs again at once',
  async (fault, what) => {
    const { problems, deeds, story } = await outcomeOf({ way: 'can ebb36', fault, at: [what, 20] });
    expect([problems, deeds, story.join()]).toEqual([
      [],
      [],
      expect.not.stringContaining('stays in its bootloader'),
    ]);
  },
);

test('a toolhead that is asked for its bootloader when SIGTERM comes: it is let go again', async () => {
  const { problems, deeds } = await outcomeOf({ way: 'can ebb36', fault: 'sigterm', at: ['out admin 2', 0] });
  expect([problems, deeds]).toEqual([[], []]);
});

test('a toolhead in Katapult when can0 goes away: the flash fails, and the next start lets it go', async () => {
  const { problems, deeds, story } = await outcomeOf({
    way: 'can ebb36',
    fault: 'unplug',
    at: ['out admin 11', 0],
  });
  expect([problems, deeds]).toEqual([[], []]);
  expect(story.at(-1)).toBe('start: released');
});

test('can0 is gone: nobody is asked to press a button', async () => {
  const { problems, deeds } = await outcomeOf({
    way: 'can ebb36',
    fault: 'unplug',
    at: ['lock board:ebb', 0],
  });
  expect([problems, deeds]).toEqual([[], []]);
});

test('a request that comes late: the toolhead comes before its owner does, who is told so and presses nothing', async () => {
  const { problems, deeds, story } = await outcomeOf({
    way: 'can ebb36',
    fault: 'late',
    at: ['out admin 2', 0],
  });
  expect([problems, deeds]).toEqual([[], []]);
  expect(story.join('\n')).toMatch(/By hand now: .*\n.*nothing more is to be pressed/);
});
