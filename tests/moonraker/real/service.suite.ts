// Klipper's service through a real Moonraker and a real supervisord; the program that runs is a stand-in.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAgent, type Agent } from '../../../src/moonraker/agent.ts';
import { MoonrakerPrinter } from '../../../src/moonraker/printer.ts';
import { unixDialer } from '../../../src/moonraker/unix-wire.ts';
import { RealClock } from '../../../src/virtual/real-clock.ts';
import { RealMoonraker, eventually, programs } from './real-moonraker.ts';

jest.setTimeout(60_000);

const clock = new RealClock();
const abort = new AbortController();
let folder: string;
let supervisor: ChildProcess;
let moonraker: RealMoonraker;
let agent: Agent;
let running: Promise<void>;
let printer: MoonrakerPrinter;
let foreignStarts = 0;

const configPath = () => join(folder, 'supervisord.conf');
const supervisorctl = (...words: string[]) =>
  execFileSync(join(programs(), 'supervisorctl'), ['-c', configPath(), ...words], { encoding: 'utf8' });
/** There while the program runs: it takes 2 s to end, as a Klipper that is slow to stop. */
const isAlive = () => existsSync(join(folder, 'alive'));

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'octopus-supervisor-'));
  writeFileSync(
    join(folder, 'klipper.sh'),
    `touch ${folder}/alive; trap 'sleep 2; rm ${folder}/alive; exit 0' TERM; while :; do sleep 0.1; done\n`,
  );
  writeFileSync(
    configPath(),
    `[supervisord]
logfile=${folder}/supervisord.log
pidfile=${folder}/supervisord.pid
[unix_http_server]
file=${folder}/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://${folder}/supervisor.sock
[program:klipper]
command=bash ${folder}/klipper.sh
`,
  );
  supervisor = spawn(join(programs(), 'supervisord'), ['-n', '-c', configPath()], { stdio: 'ignore' });
  await eventually('the program runs', () => isAlive() || undefined);
  moonraker = await RealMoonraker.start({ supervisorConfig: configPath() });
  agent = createAgent({
    dialer: unixDialer(moonraker.socketPath),
    clock,
    identity: { name: 'octopus', version: '0.1.0', url: '' },
    methods: new Map(),
    onEvent: () => {},
  });
  running = agent.run(abort.signal);
  printer = new MoonrakerPrinter({
    link: agent.link,
    clock,
    mcu: 'mcu',
  });
  printer.onForeignStart(() => foreignStarts++);
  await eventually('the agent is connected', () => agent.link.isUp || undefined);
}, 300_000);

afterAll(async () => {
  abort.abort();
  await running;
  await moonraker.stop();
  // It stops its programs itself.
  supervisor.kill('SIGTERM');
  if (supervisor.exitCode === null) await once(supervisor, 'exit');
  rmSync(folder, { recursive: true, force: true });
});

test('stopped means that the process has gone; started that it runs', async () => {
  expect(isAlive()).toBe(true);
  await printer.stopKlipper();
  expect(isAlive()).toBe(false);
  await printer.startKlipper();
  await eventually('the program runs', () => isAlive() || undefined);
  expect(foreignStarts).toBe(0);
});

test('somebody else starting it meanwhile is noticed', async () => {
  await printer.stopKlipper();
  supervisorctl('start', 'klipper');
  await eventually('it is noticed', () => foreignStarts > 0 || undefined);
  expect(foreignStarts).toBe(1);
});

test('stopped again, and started again by somebody else: noticed again', async () => {
  await printer.stopKlipper();
  expect(isAlive()).toBe(false);
  expect(foreignStarts).toBe(1);
  supervisorctl('start', 'klipper');
  await eventually('it is noticed', () => foreignStarts > 1 || undefined);
  expect(foreignStarts).toBe(2);
});

test('Moonraker restarts while Klipper stops: still seen to be stopped, and started again', async () => {
  const stopping = printer.stopKlipper();
  await clock.sleep(500);
  void agent.link.request('server.restart').catch(() => {});
  await stopping;
  expect(isAlive()).toBe(false);
  await printer.startKlipper();
  await eventually('the program runs', () => isAlive() || undefined);
});
