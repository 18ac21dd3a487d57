// The printer's console: told in order, as soon as Klipper can be spoken to, and not for ever.
import { afterEach, expect, test } from '@jest/globals';
import { PrinterConsole } from '../../src/daemon/console.ts';
import type { Logger } from '../../src/log.ts';
import { RpcError } from '../moonraker/fake-moonraker.ts';
import { startWorld, type World } from '../moonraker/world.ts';

let world: World | undefined;
afterEach(() => world?.stop());

interface Klipper {
  state: string;
  commands: string[];
  readonly scripts: string[];
  refuses: boolean;
}

async function start(commands: string[] = ['RESPOND', '_OCTOPUS_SAY', '_OCTOPUS_NOTIFY'], state = 'ready') {
  const klipper: Klipper = { state, commands, scripts: [], refuses: false };
  const warnings: unknown[] = [];
  const own = startWorld({}, {}, ({ answers }) => {
    answers.set('server.info', () => ({ klippy_state: klipper.state }));
    answers.set('printer.gcode.help', () => Object.fromEntries(klipper.commands.map((name) => [name, ''])));
    answers.set('printer.gcode.script', ({ script }) => {
      if (klipper.refuses) throw new RpcError(400, 'no');
      klipper.scripts.push(script);
      return 'ok';
    });
  });
  world = own;
  await own.until(() => own.agent.link.isUp);
  const log = { warn: (...what: unknown[]) => warnings.push(what) } as unknown as Logger;
  const printer = new PrinterConsole(own.agent.link, own.clock, log);
  return { ...own, klipper, warnings, printer };
}
const say = (text: string, isError = false) => ({ isError, lines: [text] });

test('in the order it came, each as its own script', async () => {
  const { printer, klipper, until } = await start();
  for (const text of ['one', 'two', 'three']) printer.say(say(text, text === 'two'));
  await until(() => klipper.scripts.length === 3);
  expect(klipper.scripts).toEqual([
    'RESPOND TYPE=command MSG="Octopus: one"',
    'RESPOND TYPE=error MSG="Octopus: two"',
    'RESPOND TYPE=command MSG="Octopus: three"',
  ]);
});

test('waits until Klipper is back, then speaks at once', async () => {
  const { printer, klipper, until, clock, moonraker } = await start(undefined, 'disconnected');
  printer.say(say('later'));
  await clock.sleep(60_000);
  klipper.state = 'startup';
  await clock.sleep(10_000);
  expect(klipper.scripts).toEqual([]);
  klipper.state = 'ready';
  const before = clock.now();
  moonraker.notify('notify_klippy_ready');
  await until(() => klipper.scripts.length === 1);
  expect(clock.now() - before).toBeLessThan(500);
});

test('a Klipper in its error state is found without an event, and macros are not tried there', async () => {
  const { printer, klipper, until, clock, warnings } = await start(undefined, 'startup');
  printer.say(say('it failed', true), 'phone');
  await clock.sleep(5000);
  klipper.state = 'error';
  await until(() => klipper.scripts.length === 1);
  await clock.sleep(5000);
  expect(klipper.scripts).toEqual(['RESPOND TYPE=error MSG="Octopus: it failed"']);
  expect(JSON.stringify(warnings)).toContain('notifier');
});

test('without RESPOND the macro speaks, without both nobody does', async () => {
  const { printer, klipper, until, clock, warnings } = await start(['_OCTOPUS_SAY']);
  printer.say(say('by macro'));
  await until(() => klipper.scripts.length === 1);
  expect(klipper.scripts).toEqual(['_OCTOPUS_SAY MSG="Octopus: by macro"']);
  klipper.commands = ['G28'];
  printer.say(say('by nobody'));
  await clock.sleep(5000);
  expect(klipper.scripts).toHaveLength(1);
  expect(JSON.stringify(warnings)).toContain('[respond]');
});

test('a notifier is told through its macro', async () => {
  const { printer, klipper, until } = await start();
  printer.say(say('done'), 'phone');
  await until(() => klipper.scripts.length === 2);
  expect(klipper.scripts[1]).toBe('_OCTOPUS_NOTIFY NAME="phone" MSG="done"');
});

test('nothing to say is no script', async () => {
  const { printer, klipper, until } = await start();
  printer.say({ isError: false, lines: [] });
  printer.say(say('after'));
  await until(() => klipper.scripts.length > 0);
  expect(klipper.scripts).toEqual(['RESPOND TYPE=command MSG="Octopus: after"']);
});

test('a refused script costs only itself', async () => {
  const { printer, klipper, until, warnings } = await start();
  klipper.refuses = true;
  printer.say(say('lost'));
  await until(() => warnings.length === 1);
  klipper.refuses = false;
  printer.say(say('heard'));
  await until(() => klipper.scripts.length === 1);
  expect(klipper.scripts[0]).toContain('heard');
});

test('dropped after a quarter of an hour; a later one is told', async () => {
  const { printer, klipper, until, clock } = await start(undefined, 'disconnected');
  printer.say(say('old'));
  await clock.sleep(14 * 60_000);
  printer.say(say('newer'));
  await clock.sleep(2 * 60_000);
  klipper.state = 'ready';
  await until(() => klipper.scripts.length > 0);
  expect(klipper.scripts).toEqual(['RESPOND TYPE=command MSG="Octopus: newer"']);
});

test('what waits is limited, and stop() drops it', async () => {
  const { printer, klipper, clock, warnings } = await start(undefined, 'disconnected');
  for (let n = 0; n < 25; n++) printer.say(say(`${n}`));
  expect(warnings).toHaveLength(5);
  printer.stop();
  await clock.sleep(10);
  klipper.state = 'ready';
  await clock.sleep(60_000);
  expect(klipper.scripts).toEqual([]);
});
