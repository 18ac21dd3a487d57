// Moonraker's power devices: switched, and seen to be.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
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
});
afterEach(() => world.stop());

describe('a power device', () => {
  test.each([
    ['at once', 0, true],
    ['after a while, told', 3000, true],
    ['after a while, seen', 3000, false],
  ])('is switched when it is seen to be: %s', async (_name, powerMs, isTelling) => {
    Object.assign(klipper, { power: { heaters: 'on', light: 'on' }, powerMs, isTelling });
    const since = world.clock.now();
    await printer.setPower('heaters', 'off');
    expect(klipper.power).toEqual({ heaters: 'off', light: 'on' });
    expect(world.clock.now() - since).toBeGreaterThanOrEqual(powerMs);
    expect(world.clock.now() - since).toBeLessThan(powerMs + 600);
    await printer.setPower('heaters', 'on');
    expect(klipper.power).toEqual({ heaters: 'on', light: 'on' });
    expect(klipper.asked).toEqual(['power heaters off', 'power heaters on']);
  });

  test.each([
    ['is unknown', { heater: 'on', light: 'on' }, /did you mean heater\?.*heater, light/],
    ['is unknown: there are none', {}, /\[power heaters\] to moonraker.conf/],
    ['without any [power]', undefined, /\[power heaters\] to moonraker.conf/],
  ])('%s: said with the cure, nothing switched', async (_name, power, advice) => {
    klipper.power = power;
    await expect(printer.setPower('heaters', 'off')).rejects.toMatchObject({
      code: 'printer-unreachable',
      message: 'Moonraker has no power device "heaters"',
      advice: expect.stringMatching(advice),
      place: 'power_device',
    });
    expect(klipper.asked).toEqual([]);
  });

  test.each([
    ['Unable to change power for heaters while printing', /locked_while_printing/],
    ['Error Setting Device Status: heaters to off', /log/],
  ])('is refused: %s', async (message, advice) => {
    klipper.power = { heaters: 'on' };
    klipper.powerRefusal = new RpcError(400, message);
    await expect(printer.setPower('heaters', 'off')).rejects.toMatchObject({
      code: 'printer-unreachable',
      message: `Moonraker does not switch the power device "heaters" off: ${message}`,
      advice: expect.stringMatching(advice),
    });
    expect(klipper.asked).toHaveLength(1);
  });

  test('that stays in its error is reported with what is seen', async () => {
    klipper.power = { heaters: 'on' };
    world.moonraker.answers.set('machine.device_power.get_device', () => ({ heaters: 'error' }));
    const since = world.clock.now();
    await expect(printer.setPower('heaters', 'off')).rejects.toMatchObject({
      code: 'printer-unreachable',
      message: expect.stringMatching(/"heaters" is not off after 30 s: Moonraker sees "error"/),
      advice: expect.stringMatching(/klipper_device/),
    });
    expect(world.clock.now() - since).toBeLessThan(31_000);
  });

  test('is switched through a restart of Moonraker', async () => {
    Object.assign(klipper, { power: { heaters: 'on' }, powerMs: 2000 });
    const switching = printer.setPower('heaters', 'off');
    await world.clock.sleep(500);
    await world.moonraker.restart(1100);
    await switching;
    expect(klipper.power).toEqual({ heaters: 'off' });
  });

  test('of a Moonraker that is away: printer-unreachable', async () => {
    world.moonraker.isListening = false;
    world.moonraker.now.close('gone');
    await expect(printer.setPower('heaters', 'off')).rejects.toMatchObject({ code: 'printer-unreachable' });
  });
});
