// A Moonraker that is away for longer than a start waits for it: Klipper does not stay stopped for that.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { MoonrakerPrinter } from '../../src/moonraker/printer.ts';
import { FakeKlipper } from './fake-klipper.ts';
import { RpcError } from './fake-moonraker.ts';
import { startWorld, type World } from './world.ts';

let world: World;
let klipper: FakeKlipper;
let printer: MoonrakerPrinter;
beforeEach(async () => {
  world = startWorld();
  klipper = new FakeKlipper(world.clock, world.moonraker);
  printer = new MoonrakerPrinter({ link: world.agent.link, clock: world.clock, mcu: 'mcu' });
  await world.until(() => world.agent.link.isUp);
  await printer.stopKlipper();
});
afterEach(() => world.stop());

const unreachable = { code: 'printer-unreachable' };

/** Away before the start is asked for, until long after it has given up. */
async function awayMeanwhile(ms = 300_000): Promise<void> {
  void world.moonraker.restart(ms);
  await world.until(() => !world.agent.link.isUp);
  await expect(printer.startKlipper()).rejects.toMatchObject(unreachable);
}

const back = async () => {
  await world.until(() => world.agent.link.isUp);
  await world.clock.sleep(5000);
};

test('the start that failed is made up for, once', async () => {
  await awayMeanwhile();
  expect(klipper.active).toBe('inactive');
  await back();
  expect(klipper.active).toBe('active');
  expect(klipper.asked).toEqual(['stop klipper', 'start klipper']);
  await world.moonraker.restart(1000);
  await back();
  expect(klipper.asked).toHaveLength(2);
});

test('also when it goes away again in the middle', async () => {
  await awayMeanwhile();
  const off = world.agent.link.onUp(() => {
    off();
    void world.moonraker.restart(300_000);
  });
  await world.until(() => klipper.active === 'active');
});

test('not when Klipper was stopped for another job meanwhile', async () => {
  await awayMeanwhile(100_000);
  const stopping = printer.stopKlipper();
  await back();
  await stopping;
  await world.clock.sleep(60_000);
  expect(klipper.active).toBe('inactive');
  expect(klipper.asked).not.toContain('start klipper');
});

test.each([
  [
    'a refusal stays one',
    () => {
      throw new RpcError(400, "Service 'klipper' not allowed");
    },
  ],
  ['a Klipper that does not start is not started for ever', () => 'ok'],
])('%s', async (_what, answer) => {
  let asked = 0;
  world.moonraker.answers.set('machine.services.start', () => {
    asked += 1;
    return answer();
  });
  await expect(printer.startKlipper()).rejects.toMatchObject(unreachable);
  await world.moonraker.restart(1000);
  await back();
  expect(asked).toBe(1);
});
