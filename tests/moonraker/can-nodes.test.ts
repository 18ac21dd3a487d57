// The CAN nodes of printer.cfg, as Klipper tells them through Moonraker.
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

describe('CAN nodes of printer.cfg', () => {
  const config = {
    printer: { kinematics: 'none' },
    mcu: { serial: '/dev/serial/by-id/usb-Klipper' },
    'mcu ebb': { canbus_uuid: ' 11AA22BB33CC ' },
    'mcu toolhead': { canbus_uuid: '0123456789ab', canbus_interface: 'can1' },
    mcu_like: { canbus_uuid: 'ffffffffffff' },
    'gcode_macro mcu': { canbus_uuid: 'ffffffffffff' },
  };

  test('are its mcu sections with a uuid, and the version where Klipper knows it', async () => {
    klipper.objects['configfile'] = { config };
    klipper.objects['mcu toolhead'] = {};
    expect(await printer.canNodes()).toEqual([
      { section: 'mcu ebb', uuid: '11aa22bb33cc', interfaceName: 'can0', version: 'v0.12.0-2' },
      { section: 'mcu toolhead', uuid: '0123456789ab', interfaceName: 'can1', version: null },
    ]);
  });

  test('the board itself may be one', async () => {
    klipper.objects['configfile'] = { config: { mcu: { canbus_uuid: 'aabbccddeeff' } } };
    expect(await printer.canNodes()).toMatchObject([{ section: 'mcu', version: 'v0.12.0-1' }]);
  });

  test.each([
    ['no CAN', { config: { mcu: { serial: '/dev/ttyACM0' } } }],
    ['a configuration that Klipper could not read', {}],
  ])('none: %s', async (_name, configfile) => {
    klipper.objects['configfile'] = configfile;
    expect(await printer.canNodes()).toEqual([]);
  });

  test.each([
    ['it left', () => (klipper.isConnected = false)],
    ['it has not come since Moonraker started', () => (klipper.wasEverConnected = false)],
  ])('none while Klipper is down: %s', async (_name, leave) => {
    leave();
    expect(await printer.canNodes()).toEqual([]);
  });

  test('a Moonraker that refuses is no printer without nodes', async () => {
    world.moonraker.answers.set('printer.objects.query', () => {
      throw new RpcError(-32602, 'Unauthorized');
    });
    await expect(printer.canNodes()).rejects.toMatchObject({ code: 'printer-unreachable' });
  });
});
