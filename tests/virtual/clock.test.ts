import { expect, test } from '@jest/globals';
import { setTimeout as realSleep } from 'node:timers/promises';
import { after, VirtualClock } from '../../src/virtual/clock.ts';
import { RealClock } from '../../src/virtual/real-clock.ts';

test('time jumps to the next sleeper, one at a time and in order', async () => {
  const clock = new VirtualClock();
  const woken: string[] = [];
  const sleeper = async (name: string, ms: number) => {
    await clock.sleep(ms);
    woken.push(`${name}@${clock.now()}`);
  };
  await Promise.all([sleeper('late', 5000), sleeper('a', 10), sleeper('b', 10), sleeper('now', 0)]);
  expect(woken).toEqual(['now@0', 'a@10', 'b@10', 'late@5000']);
});

test('a sleeper that wakes and works is done before time goes on', async () => {
  const clock = new VirtualClock();
  const seen: number[] = [];
  const busy = async () => {
    await clock.sleep(1);
    for (let hop = 0; hop < 3; hop++) await new Promise((resolve) => setImmediate(resolve));
    seen.push(clock.now());
  };
  await Promise.all([busy(), clock.sleep(100)]);
  expect(seen).toEqual([1]);
});

test('hold stops time while something real is under way', async () => {
  const clock = new VirtualClock();
  let slept = false;
  const sleep = clock.sleep(1).then(() => (slept = true));
  await clock.hold(realSleep(30));
  expect(slept).toBe(false);
  await sleep;
  expect(clock.now()).toBe(1);
});

test('an aborted sleep rejects with AbortError and leaves no sleeper', async () => {
  for (const clock of [new VirtualClock(), new RealClock()]) {
    const abort = new AbortController();
    const sleep = clock.sleep(1_000_000, abort.signal);
    abort.abort();
    await expect(sleep).rejects.toMatchObject({ name: 'AbortError' });
    await expect(clock.sleep(1, abort.signal)).rejects.toMatchObject({ name: 'AbortError' });
    if (clock instanceof VirtualClock) expect(clock.sleepers).toBe(0);
  }
});

test('a timer can be called off', async () => {
  const clock = new VirtualClock();
  let rang = false;
  const cancel = after(clock, 10, () => (rang = true));
  cancel();
  await clock.sleep(20);
  expect(rang).toBe(false);
});

test('the date runs with the clock', async () => {
  const clock = new VirtualClock();
  const before = clock.date();
  await clock.sleep(3_600_000);
  expect(clock.date() - before).toBe(3_600_000);
});

test.each(['turns', 'microtasks'] as const)(
  'pace %s: whoever wakes has done all that he can do without sleeping before time goes on',
  async (pace) => {
    const clock = new VirtualClock(pace);
    const seen: string[] = [];
    // Timers that set timers must not make the clock run ahead of those who answer by promises.
    const tick = (left: number): void => {
      if (left > 0) after(clock, 1, () => tick(left - 1));
    };
    const worker = async (name: string): Promise<void> => {
      for (let n = 0; n < 20; n++) {
        await clock.sleep(1);
        const at = clock.now();
        for (let hop = 0; hop < 50; hop++) await Promise.resolve();
        if (clock.now() !== at) seen.push(`${name} was overtaken at ${at}`);
      }
    };
    tick(40);
    tick(40);
    await Promise.all([worker('a'), worker('b')]);
    expect([seen, clock.now()]).toEqual([[], 20]);
  },
);

test('at the pace of microtasks the event loop does not turn', async () => {
  const clock = new VirtualClock('microtasks');
  let isOver = false;
  let turns = 0;
  const count = (): void => {
    turns += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  for (let n = 0; n < 100; n++) await clock.sleep(1);
  isOver = true;
  expect(turns).toBeLessThan(2);
});
