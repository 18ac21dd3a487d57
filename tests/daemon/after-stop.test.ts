// What ExecStopPost runs after the daemon's end: the lines float, and a Klipper that a dead job has stopped runs again,
// by Moonraker or, where that does not answer, by systemctl.
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { klipperUnitOf } from '../../src/daemon/klipper-unit.ts';
import { seal } from '../../src/kept.ts';
import { forgeKlipper } from '../../src/virtual/forge.ts';
import { SocketMoonraker } from '../support/socket-moonraker.ts';
import { BOARD } from './house.ts';
import { ended, Site } from './process.ts';

jest.setTimeout(60_000);

let top: string;
let site: Site;
const open: SocketMoonraker[] = [];
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'octopus-after-'));
  site = new Site(join(top, 'printer_data'));
});
afterEach(async () => {
  site.kill();
  for (const one of open.splice(0)) await one.close();
  rmSync(top, { recursive: true, force: true });
});

const onBench = () => ['--virtual', BOARD, '--virtual-dir', site.bench];
const journal = () =>
  JSON.parse(readFileSync(join(site.bench, 'data', 'journal', `${BOARD}.json`), 'utf8')) as {
    endedAs: string | null;
    klipperStarted?: boolean;
    linesFloated?: boolean;
  };
/** The daemon, killed at its nth change of a line. */
async function killedAt(n: number): Promise<void> {
  const image = join(top, 'klipper.bin');
  writeFileSync(image, forgeKlipper({ mcu: 'stm32f446xx', version: 'v0.13.0-7' }));
  const daemon = await site.daemon(['--fast'], { OCTOPUS_VIRTUAL_KILL_AT: String(n) });
  await site.run('flash', '--board', BOARD, '--image', image);
  expect(daemon.signalCode ?? (await ended(daemon)).code).toBe('SIGKILL');
}

test('killed in the reset pulse: both lines float, Klipper runs, and the next daemon owes nothing', async () => {
  await killedAt(3);
  expect(site.driven().length).toBeGreaterThan(0);
  expect(journal()).toMatchObject({ endedAs: null });
  expect(await ended(site.start(['after-stop', ...onBench()]))).toMatchObject({ code: 0 });
  expect(site.driven()).toEqual([]);
  // What it did to the board stays on record.
  expect(journal()).toMatchObject({ endedAs: null, klipperStarted: true });
  // Nothing is owed any more: nothing is done.
  const before = readFileSync(join(site.bench, 'data', 'journal', `${BOARD}.json`), 'utf8');
  expect(await ended(site.start(['after-stop', ...onBench()]))).toMatchObject({ code: 0 });
  expect(readFileSync(join(site.bench, 'data', 'journal', `${BOARD}.json`), 'utf8')).toBe(before);
});

test('with nothing to do it does nothing, with a spoilt configuration too', async () => {
  expect((await ended(site.start(['after-stop', ...onBench()]))).code).toBe(0);
  mkdirSync(join(site.printerData, 'config'), { recursive: true });
  writeFileSync(join(site.printerData, 'config', 'octopus-flasher.conf'), '[nonsense]\n');
  expect((await ended(site.start(['after-stop', ...onBench()]))).code).toBe(0);
  expect(existsSync(join(site.printerData, 'octopus-flasher'))).toBe(false);
});

/** A journal as a daemon leaves it that dies while Klipper is stopped. Without pins nothing of this host is touched. */
function deadJob(): void {
  const config = join(site.printerData, 'config');
  mkdirSync(config, { recursive: true });
  writeFileSync(join(config, 'octopus-flasher.conf'), `[board b]\nboard: ${BOARD}\n`);
  const folder = join(site.printerData, 'octopus-flasher', 'journal');
  mkdirSync(folder, { recursive: true });
  const host = '[octopus-flasher]\n[board b]\nboot0_pin: none\nreset_pin: none\n';
  writeFileSync(join(site.printerData, 'octopus-flasher', 'host.conf'), host, { mode: 0o600 });
  const steps = [{ atMs: 1, kind: 'stop-klipper' }];
  const startedAt = '2026-11-25T07:00:00.000Z';
  writeFileSync(
    join(folder, 'b.json'),
    seal({ job: 'j', method: 'octopus.flash', board: 'b', startedAt, endedAs: null, steps }),
  );
}
const pages = () =>
  JSON.parse(readFileSync(join(site.printerData, 'octopus-flasher', 'journal', 'b.json'), 'utf8'));
/** A systemctl that notes what it is told. */
function systemctl(code: number): { env: NodeJS.ProcessEnv; told: () => string[] } {
  const bin = join(top, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'systemctl'), `#!/bin/sh\necho "$*" >> '${top}/told'\nexit ${code}\n`);
  chmodSync(join(bin, 'systemctl'), 0o755);
  const told = () =>
    existsSync(join(top, 'told')) ? readFileSync(join(top, 'told'), 'utf8').trimEnd().split('\n') : [];
  return { env: { PATH: `${bin}:${process.env['PATH'] ?? ''}` }, told };
}

test('Moonraker starts it, by the name that it has for the unit', async () => {
  deadJob();
  const moonraker = await SocketMoonraker.listen(join(site.printerData, 'comms', 'moonraker.sock'));
  open.push(moonraker);
  let active = 'inactive';
  moonraker.answers.set('machine.system_info', () => ({
    system_info: {
      instance_ids: { klipper: 'klipper-7' },
      service_state: { 'klipper-7': { active_state: active, sub_state: 'dead' } },
    },
  }));
  moonraker.answers.set('server.info', () => ({ klippy_connected: false }));
  moonraker.answers.set('machine.services.start', ({ service }) => {
    expect(service).toBe('klipper-7');
    active = 'active';
    return 'ok';
  });
  const { env, told } = systemctl(0);
  expect((await ended(site.start(['after-stop'], env))).code).toBe(0);
  expect(moonraker.asked).toContain('machine.services.start');
  expect(told()).toEqual([]);
  expect(pages()).toMatchObject({ klipperStarted: true });
});

test('no Moonraker: systemctl, if the unit is known; what failed is owed to the next start', async () => {
  deadJob();
  const { env, told } = systemctl(1);
  const units = readdirSync('/etc/systemd/system').filter((name) => name.startsWith('klipper'));
  expect((await ended(site.start(['after-stop'], env))).code).toBe(1);
  if (units.length === 0) expect(told()).toEqual([]);
  expect(pages()['klipperStarted']).toBeUndefined();
});

test('with a configuration that is spoilt, the journal still says which boards have a dead job', async () => {
  deadJob();
  writeFileSync(join(site.printerData, 'config', 'octopus-flasher.conf'), '[nonsense]\n');
  const { env } = systemctl(1);
  expect((await ended(site.start(['after-stop'], env))).code).toBe(1);
});

test('the unit is the one whose words, or whose arguments file, name the folder; else the only one', () => {
  const units = join(top, 'units');
  const unit = (name: string, text: string) => writeFileSync(join(units, name), text);
  expect(klipperUnitOf('/home/pi/printer_data', join(top, 'nowhere'))).toBeUndefined();
  mkdirSync(units);
  expect(klipperUnitOf('/home/pi/printer_data', units)).toBeUndefined();
  unit('klipperfleet.service', 'ExecStart=/x /home/pi/printer_data/config/printer.cfg\n');
  unit('klipper-mcu.service.bak', '');
  expect(klipperUnitOf('/home/pi/printer_data', units)).toBeUndefined();
  unit('klipper-1.service', 'ExecStart=/x /home/pi/printer_1_data/config/printer.cfg -l x\n');
  expect(klipperUnitOf('/home/pi/printer_data', units)).toBe('klipper-1.service');
  writeFileSync(
    join(top, 'klipper.env'),
    'KLIPPER_ARGS="/home/pi/klipper/klippy/klippy.py /home/pi/printer_10_data/config/printer.cfg -a /x"\n',
  );
  unit('klipper-10.service', `EnvironmentFile=${join(top, 'klipper.env')}\nExecStart=/x $KLIPPER_ARGS\n`);
  expect(klipperUnitOf('/home/pi/printer_10_data/', units)).toBe('klipper-10.service');
  expect(klipperUnitOf('/home/pi/printer_1_data', units)).toBe('klipper-1.service');
  // A folder whose name only begins alike is another printer's, and of two units none is guessed.
  expect(klipperUnitOf('/home/pi/printer_1', units)).toBeUndefined();
});
