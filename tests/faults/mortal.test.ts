// The process that can die: what it had under way has no effect and is never answered, and the kernel closes what it held.
import { afterEach, expect, test } from '@jest/globals';
import { createBench, type BenchOptions, type VirtualBench } from '../../src/virtual/bench.ts';
import { hostDown, hostUp } from '../../src/virtual/host-power.ts';
import { PINS } from '../support/bench.ts';
import { Mortal } from './mortal.ts';
import { Timeline, type Strike } from './timeline.ts';

const benches: VirtualBench[] = [];
afterEach(() => {
  for (const bench of benches.splice(0)) bench.dispose();
});

async function born(options: BenchOptions = {}, strike?: Strike) {
  const bench = await createBench(options);
  benches.push(bench);
  const timeline = new Timeline(strike);
  const process = new Mortal(bench, timeline);
  return { bench, timeline, process, kit: process.kit };
}

/** Whether `work` has come to any end within ten virtual minutes. */
async function isAnswered(bench: VirtualBench, work: Promise<unknown>): Promise<boolean> {
  let answered = false;
  const note = () => (answered = true);
  void work.then(note, note);
  await bench.clock.sleep(600_000);
  return answered;
}

test('after its death no call has an effect, and none is answered', async () => {
  const { bench, process, kit } = await born();
  const lines = await kit.gpio.open(PINS);
  process.die();
  const answers = [
    lines.set({ nrst: 'low' }),
    lines.read(),
    kit.store.write('key', Uint8Array.of(1)),
    kit.store.read('key'),
    kit.printer.stopKlipper(),
    kit.usb.list(),
    kit.clock.sleep(1),
    kit.locks.acquire('a'),
    kit.can.open('can7'),
  ];
  expect(await Promise.all(answers.map((one) => isAnswered(bench, one)))).toEqual(answers.map(() => false));
  expect(bench.lines.pins()).toEqual({});
  expect(await bench.store.list('')).toEqual([]);
  expect([bench.printer.serviceRunning, bench.locks.holds('a')]).toEqual([true, false]);
});

test('what it held is free again, a line keeps its level, and Moonraker does what it was asked for', async () => {
  const { bench, process, kit } = await born({ lines: { jumperFitted: true } });
  const lines = await kit.gpio.open(PINS);
  await lines.set({ nrst: 'low', boot0: 'high' });
  await kit.locks.acquire('board');
  const [rom] = await bench.usb.list();
  if (rom === undefined) throw new Error('no ROM');
  void kit.printer.stopKlipper();
  process.die();
  await bench.clock.sleep(1000);
  expect(bench.lines.pins()).toEqual({ gpio26: 'high', gpio19: 'low' });
  expect(bench.printer.serviceRunning).toBe(false);
  const next = new Mortal(bench, new Timeline());
  await (
    await next.kit.locks.acquire('board')
  )();
  await (await next.kit.gpio.open(PINS)).close();
  expect(bench.lines.pins()).toEqual({ gpio26: 'floating', gpio19: 'floating' });
  expect([process.held, next.held]).toEqual([[], []]);
});

test('an opening under way is closed again, and a device that it had is free for the next', async () => {
  const { bench, process, kit } = await born({ lines: { jumperFitted: true } });
  const [rom] = await bench.usb.list();
  if (rom === undefined) throw new Error('no ROM');
  const opening = kit.usb.openDfu(rom);
  process.die();
  expect(await isAnswered(bench, opening)).toBe(false);
  const next = new Mortal(bench, new Timeline());
  const device = await next.kit.usb.openDfu(rom);
  expect(next.held).toHaveLength(1);
  next.die();
  expect(await isAnswered(bench, device.close())).toBe(false);
  await (await bench.usb.openDfu(rom)).close();
});

test.each([
  ['before it', 'store.write a', undefined],
  ['under way', 'store.write a, under way', undefined],
  ['landing', 'store.write a, landing', 1],
  ['after it', 'store.write a, done', 1],
] as const)(
  'the power of the host goes %s: the write is whole or not at all',
  async (_when, what, expected) => {
    const { bench, process, timeline, kit } = await born({}, (moment) => {
      if (moment.what !== what) return undefined;
      hostDown(bench, what.endsWith('landing') ? 'new' : 'old');
      process.die();
      return undefined;
    });
    expect(await isAnswered(bench, kit.store.write('a/b', Uint8Array.of(1)))).toBe(false);
    hostUp(bench);
    expect((await bench.store.read('a/b'))?.[0]).toBe(expected);
    expect(timeline.moments.at(-1)?.what).toBe(what);
  },
);

test('a living process works as its ports do', async () => {
  const { bench, timeline, kit } = await born();
  await kit.store.write('journal/x', Uint8Array.of(1));
  expect(await kit.store.read('journal/x')).toEqual(Uint8Array.of(1));
  await expect(kit.store.read('../x')).rejects.toMatchObject({ code: 'store-failed' });
  const heard: string[] = [];
  const stop = kit.usb.onChange(({ kind }) => heard.push(kind));
  bench.unplug();
  await kit.clock.sleep(1000);
  stop();
  bench.replug();
  await kit.clock.sleep(1000);
  expect(heard).toEqual(['left']);
  expect(timeline.moments.map(({ n, what }) => `${n} ${what}`)).toEqual([
    '1 store.write journal',
    '2 store.write journal, under way',
    '3 store.write journal, landing',
    '4 store.write journal, done',
  ]);
});
