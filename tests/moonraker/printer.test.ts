// The printer behind Moonraker: read for the gate, stopped and seen to be stopped, started, judged.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { MoonrakerPrinter } from '../../src/moonraker/printer.ts';
import { FakeKlipper } from './fake-klipper.ts';
import { RpcError, SILENCE } from './fake-moonraker.ts';
import { startWorld, type World } from './world.ts';

let world: World;
let klipper: FakeKlipper;
let printer: MoonrakerPrinter;
let foreignStarts: number;
beforeEach(async () => {
  world = startWorld();
  klipper = new FakeKlipper(world.clock, world.moonraker);
  foreignStarts = 0;
  printer = printerFor('mcu');
  printer.onForeignStart(() => foreignStarts++);
  await world.until(() => world.agent.link.isUp);
});
afterEach(() => world.stop());

const printerFor = (mcu: string) =>
  new MoonrakerPrinter({
    link: world.agent.link,
    clock: world.clock,
    mcu,
  });

describe('read', () => {
  test('an idle printer', async () => {
    expect(await printer.read()).toEqual({
      state: 'ready',
      printing: false,
      paused: false,
      moving: false,
      zHomed: false,
      heaters: [
        { name: 'extruder', kind: 'extruder', targetC: 0, temperatureC: 24.1 },
        { name: 'heater_bed', kind: 'bed', targetC: 0, temperatureC: 23.8 },
      ],
      temperatureAgeMs: 0,
    });
  });

  test.each([
    ['a print', { print_stats: { state: 'printing' } }, { printing: true }],
    ['a print by virtual_sdcard alone', { virtual_sdcard: { is_active: true } }, { printing: true }],
    ['a paused print', { print_stats: { state: 'paused' } }, { paused: true }],
    ['a pause by pause_resume alone', { pause_resume: { is_paused: true } }, { paused: true }],
    ['homing: idle_timeout alone knows', { idle_timeout: { state: 'Printing' } }, { moving: true }],
    ['a homed Z', { toolhead: { homed_axes: 'xyz' } }, { zHomed: true }],
    [
      'a heater that is on',
      { extruder: { target: 210, temperature: 24 } },
      { heaters: expect.arrayContaining([expect.objectContaining({ targetC: 210 })]) },
    ],
    [
      'no virtual_sdcard, no toolhead',
      { virtual_sdcard: {}, print_stats: {}, toolhead: {} },
      { state: 'ready', printing: false },
    ],
    ['no heaters at all', { heaters: {} }, { heaters: [] }],
  ])('%s', async (_name, objects, expected) => {
    Object.assign(klipper.objects, objects);
    expect(await printer.read()).toMatchObject(expected);
  });

  test('further extruders and generic heaters have their kind', async () => {
    klipper.objects['heaters'] = { available_heaters: ['extruder1', 'heater_generic chamber'] };
    klipper.objects['extruder1'] = { target: 0, temperature: 20 };
    klipper.objects['heater_generic chamber'] = { target: 0, temperature: 21 };
    const { heaters } = await printer.read();
    expect(heaters.map(({ kind }) => kind)).toEqual(['extruder', 'other']);
  });

  test.each([
    ['no idle_timeout', { idle_timeout: {} }],
    ['a heater without temperature', { extruder: { target: 0 } }],
    ['a heater without target', { extruder: { temperature: 20 } }],
    ['a heater that is not told', { extruder: {} }],
    ['a temperature that is no number', { extruder: { target: 0, temperature: null } }],
    ['heaters that are no list', { heaters: { available_heaters: 'extruder' } }],
  ])('%s: the gate gets no guess', async (_name, objects) => {
    Object.assign(klipper.objects, objects);
    await expect(printer.read()).rejects.toMatchObject({ code: 'printer-unreachable' });
  });

  test.each(['error', 'shutdown', 'startup'])(
    'in state %s the temperatures are those of the store',
    async (state) => {
      klipper.state = state;
      klipper.store = {
        extruder: { temperatures: [20, 20.1, 20.2, 20.2], targets: [210, 210, 210, 210] },
        heater_bed: { temperatures: [30, 31, 31, 31] },
        'temperature_sensor pi': { temperatures: [60, 60, 60, 60] },
        'temperature_fan box': { temperatures: [60, 60, 60, 60], targets: [40, 40, 40, 40] },
      };
      expect(await printer.read()).toEqual({
        state,
        printing: false,
        paused: false,
        moving: false,
        zHomed: false,
        heaters: [
          { name: 'extruder', kind: 'extruder', targetC: 0, temperatureC: 20.2 },
          { name: 'heater_bed', kind: 'bed', targetC: 0, temperatureC: 31 },
        ],
        temperatureAgeMs: 3000,
      });
    },
  );

  test('Moonraker repeats the last temperature while Klipper is silent: its age is that of the last change', async () => {
    klipper.isConnected = false;
    klipper.store = { extruder: { temperatures: [24.9, ...Array<number>(900).fill(25)] } };
    expect(await printer.read()).toMatchObject({ state: 'disconnected', temperatureAgeMs: 900_000 });
  });

  test.each([
    ['one that never changed', [25, 25, 25]],
    ['a single sample', [25]],
    ['none', []],
    ['only what Moonraker could not read', [null, null]],
  ])('temperatures without a known age: %s', async (_name, temperatures) => {
    klipper.isConnected = false;
    klipper.store = { extruder: { temperatures }, heater_bed: { temperatures: [1, 2] } };
    expect(await printer.read()).not.toHaveProperty('temperatureAgeMs');
  });

  test.each([
    ['503: it left in this moment', () => (klipper.isConnected = false)],
    ['-32601: it has not come since Moonraker started', () => (klipper.wasEverConnected = false)],
  ])('Moonraker says ready, and the query fails with %s', async (_name, leave) => {
    world.moonraker.answers.set('server.info', () => ({ klippy_connected: true, klippy_state: 'ready' }));
    leave();
    expect(await printer.read()).toMatchObject({ state: 'disconnected' });
  });

  test('Klipper itself knows first that it has shut down', async () => {
    world.moonraker.answers.set('server.info', () => ({ klippy_connected: true, klippy_state: 'ready' }));
    klipper.state = 'shutdown';
    expect(await printer.read()).toMatchObject({ state: 'shutdown' });
  });

  test('a state that nobody knows proves nothing', async () => {
    klipper.state = 'dreaming';
    expect(await printer.read()).toMatchObject({ state: 'error' });
  });

  test('Moonraker away, silent, refusing or talking nonsense: printer-unreachable', async () => {
    world.moonraker.answers.set('server.info', () => SILENCE);
    await expect(printer.read()).rejects.toMatchObject({ code: 'printer-unreachable' });
    world.moonraker.answers.set('server.info', () => {
      throw new RpcError(-32602, 'Unauthorized');
    });
    await expect(printer.read()).rejects.toMatchObject({ code: 'printer-unreachable' });
    world.moonraker.answers.set('server.info', () => 'ok');
    await expect(printer.read()).rejects.toMatchObject({ code: 'printer-unreachable' });
    world.moonraker.isListening = false;
    world.moonraker.now.close('gone');
    await expect(printer.read()).rejects.toMatchObject({ code: 'printer-unreachable' });
  });

  test('a Moonraker that restarts just now is waited for', async () => {
    void world.moonraker.restart(900);
    expect(await printer.read()).toMatchObject({ state: 'ready' });
  });
});

describe("Klipper's service", () => {
  test.each([true, false])(
    'is stopped when seen to be, not when Moonraker says ok; told of changes: %s',
    async (isTelling) => {
      klipper.isTelling = isTelling;
      const since = world.clock.now();
      await printer.stopKlipper();
      expect(klipper.active).toBe('inactive');
      expect(world.clock.now() - since).toBeGreaterThanOrEqual(2000);
      expect(world.clock.now() - since).toBeLessThan(2600);
      await printer.startKlipper();
      expect(klipper.active).toBe('active');
      expect(klipper.asked).toEqual(['stop klipper', 'start klipper']);
    },
  );

  test('is the unit of this instance', async () => {
    klipper.unit = 'klipper-1';
    await printer.stopKlipper();
    expect(klipper.asked).toEqual(['stop klipper-1']);
  });

  test('that is stopped already is stopped', async () => {
    [klipper.active, klipper.sub, klipper.isConnected] = ['failed', 'failed', false];
    await printer.stopKlipper();
    await printer.startKlipper();
    await printer.startKlipper();
    expect(klipper.active).toBe('active');
  });

  test('a Klippy that is still connected runs, whatever its service says', async () => {
    [klipper.active, klipper.sub] = ['inactive', 'dead'];
    await expect(printer.stopKlipper()).rejects.toMatchObject({
      code: 'printer-unreachable',
      message: "Klipper's service has not stopped after 100 s",
    });
  });

  test('a program that supervisord is just starting is not stopped', async () => {
    [klipper.active, klipper.sub, klipper.isConnected] = ['inactive', 'starting', false];
    await expect(printer.stopKlipper()).rejects.toMatchObject({ code: 'printer-unreachable' });
  });

  test('that does not start is reported', async () => {
    await printer.stopKlipper();
    world.moonraker.answers.set('machine.services.start', () => 'ok');
    await expect(printer.startKlipper()).rejects.toMatchObject({
      code: 'printer-unreachable',
      message: "Klipper's service does not run after 60 s",
    });
  });

  test.each([
    ["Service 'klipper' not allowed", 'moonraker.asvc'],
    ["Service 'klipper' not installed", 'provider'],
  ])('refused: %s', async (message, advice) => {
    klipper.refusal = new RpcError(400, message);
    const since = world.clock.now();
    await expect(printer.stopKlipper()).rejects.toMatchObject({
      code: 'printer-unreachable',
      message: expect.stringContaining(message),
      advice: expect.stringContaining(advice),
    });
    expect(world.clock.now() - since).toBeLessThan(100);
  });

  test('whose command failed is watched a while: it may still have worked', async () => {
    const { answers } = world.moonraker;
    const stop = answers.get('machine.services.stop');
    answers.set('machine.services.stop', (params, connection) => {
      stop?.(params, connection);
      throw new RpcError(500, 'Command timed out');
    });
    await printer.stopKlipper();
    expect(klipper.active).toBe('inactive');
  });

  test('whose command failed and did nothing is reported with that failure', async () => {
    klipper.refusal = new RpcError(503, 'DBus Connection Not Available');
    const since = world.clock.now();
    await expect(printer.stopKlipper()).rejects.toMatchObject({
      code: 'printer-unreachable',
      message: 'Moonraker refuses to stop Klipper: DBus Connection Not Available',
    });
    expect(world.clock.now() - since).toBeLessThan(16_000);
    expect(klipper.asked).toHaveLength(1);
  });

  test('that Moonraker does not know, with provider none, is reported at once', async () => {
    world.moonraker.answers.set('machine.system_info', () => ({
      system_info: { instance_ids: { klipper: 'klipper' }, service_state: {}, provider: 'none' },
    }));
    await expect(printer.stopKlipper()).rejects.toMatchObject({
      message: 'Moonraker does not know the service klipper',
      advice: expect.stringContaining('provider'),
    });
    expect(klipper.asked).toEqual([]);
  });

  test('a restart of Moonraker while Klipper stops, and while it starts, is lived through', async () => {
    const stopping = printer.stopKlipper();
    await world.clock.sleep(500);
    await world.moonraker.restart(1100);
    await stopping;
    expect(klipper.active).toBe('inactive');
    await world.moonraker.restart(3000);
    await printer.startKlipper();
    expect(klipper.active).toBe('active');
  });
});

describe('somebody else starts Klipper', () => {
  test('between our stop and our start it is told, once', async () => {
    await printer.stopKlipper();
    await klipper.start();
    await world.clock.sleep(100);
    klipper.change('active', 'running');
    await world.clock.sleep(100);
    expect(foreignStarts).toBe(1);
  });

  test('each time: after another stop of ours, and after a stop of theirs', async () => {
    await printer.stopKlipper();
    await klipper.start();
    await world.clock.sleep(100);
    expect(foreignStarts).toBe(1);
    await printer.stopKlipper();
    expect(klipper.active).toBe('inactive');
    expect(foreignStarts).toBe(1);
    await klipper.start();
    await world.clock.sleep(100);
    expect(foreignStarts).toBe(2);
    klipper.isConnected = false;
    klipper.change('inactive', 'dead');
    await world.clock.sleep(100);
    await klipper.start();
    await world.clock.sleep(100);
    expect(foreignStarts).toBe(3);
  });

  test('after a second stop that failed it is told again at the next start', async () => {
    await printer.stopKlipper();
    await klipper.start();
    klipper.refusal = new RpcError(400, 'not now');
    await expect(printer.stopKlipper()).rejects.toMatchObject({ code: 'printer-unreachable' });
    klipper.refusal = undefined;
    klipper.isConnected = false;
    klipper.change('inactive', 'dead');
    await world.clock.sleep(100);
    await klipper.start();
    await world.clock.sleep(100);
    expect(foreignStarts).toBe(2);
  });

  test('an answer that was asked for before our stop, and came after it, proves nothing', async () => {
    await printer.stopKlipper();
    await klipper.start();
    await world.clock.sleep(100);
    const { answers, now } = world.moonraker;
    const answer = answers.get('server.info') ?? (() => SILENCE);
    answers.set('server.info', () => SILENCE);
    klipper.change('active', 'running');
    await world.clock.sleep(100);
    const { id } = now.received.findLast(({ method }) => method === 'server.info') ?? {};
    answers.set('server.info', answer);
    await printer.stopKlipper();
    expect(foreignStarts).toBe(1);
    now.send({ jsonrpc: '2.0', id, result: { klippy_connected: true, klippy_state: 'ready' } });
    await world.clock.sleep(100);
    expect(foreignStarts).toBe(1);
  });

  test('who has stopped listening hears nothing', async () => {
    const heard: string[] = [];
    const off = printer.onForeignStart(() => heard.push('a'));
    printer.onForeignStart(() => heard.push('b'));
    off();
    await printer.stopKlipper();
    await klipper.start();
    await world.clock.sleep(100);
    expect(heard).toEqual(['b']);
  });

  test('also when it happened while the connection was down', async () => {
    await printer.stopKlipper();
    const restarting = world.moonraker.restart(5000);
    await klipper.start();
    await restarting;
    await world.until(() => foreignStarts > 0);
    expect(foreignStarts).toBe(1);
  });

  test('our own start, and a start when nothing was stopped, are nobody else', async () => {
    klipper.change('active', 'running');
    await printer.stopKlipper();
    await printer.startKlipper();
    await world.clock.sleep(5000);
    klipper.change('active', 'running');
    await world.clock.sleep(100);
    expect(foreignStarts).toBe(0);
  });
});

describe('verdict', () => {
  test.each([
    ['mcu', 'v0.12.0-1'],
    ['mcu ebb', 'v0.12.0-2'],
  ])('ready with the version of %s', async (mcu, version) => {
    await printer.stopKlipper();
    await printer.startKlipper();
    const since = world.clock.now();
    expect(await printerFor(mcu).verdict(100_000)).toEqual({ state: 'ready', version });
    // By the event, not by the next look.
    expect(world.clock.now() - since).toBeLessThan(1900);
  });

  test('ready without that board', async () => {
    expect(await printerFor('mcu toolhead').verdict(1000)).toEqual({
      state: 'not_ready',
      reason: 'Klipper is ready and has no [mcu toolhead] in its printer.cfg',
    });
  });

  test.each(['error', 'shutdown'])('%s ends the wait with the first line of the reason', async (state) => {
    klipper.nextState = state;
    klipper.stateMessage = 'MCU Protocol error\nThis is frequently caused by running an older version\n';
    await printer.stopKlipper();
    await printer.startKlipper();
    const since = world.clock.now();
    expect(await printer.verdict(100_000)).toEqual({ state: 'not_ready', reason: 'MCU Protocol error' });
    expect(world.clock.now() - since).toBeLessThan(3000);
    expect(klipper.asked).toEqual(['stop klipper', 'start klipper']);
  });

  test('a Klipper that never makes up its mind, or never comes', async () => {
    klipper.state = 'startup';
    klipper.stateMessage = 'Printer is not ready\nThe klippy host software is attempting to connect.';
    const since = world.clock.now();
    expect(await printer.verdict(3000)).toEqual({ state: 'not_ready', reason: 'Printer is not ready' });
    expect(world.clock.now() - since).toBeGreaterThanOrEqual(3000);
    klipper.isConnected = false;
    expect(await printer.verdict(3000)).toEqual({
      state: 'not_ready',
      reason: "Klipper's service is not running",
    });
  });

  test('Moonraker restarts while Klipper starts: waited for; gone for good: printer-unreachable', async () => {
    void world.moonraker.restart(2000);
    expect(await printer.verdict(60_000)).toMatchObject({ state: 'ready' });
    world.moonraker.isListening = false;
    world.moonraker.now.close('gone');
    await expect(printer.verdict(8000)).rejects.toMatchObject({ code: 'printer-unreachable' });
  });
});
