// install.sh with several printers on one host, with units that say where they are, and with what users have in their files.
import { afterEach, expect, jest, test } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultPrinterData } from '../../src/compose/printer-data.ts';
import { readSettings } from '../../src/config/settings.ts';
import { InstallSite } from './site.ts';

jest.setTimeout(120_000);

let site: InstallSite;
afterEach(() => site.close());

const UNIT = 'etc/systemd/system/octopus-flasher.service';
const KNOWN = ['octopus-v1.1-f446'];

test('several printers: each its own section, line and link; one unit, in the first folder', async () => {
  site = new InstallSite({ data: '' });
  const one = site.addPrinter('printer_1_data', 'klipper-1', 'moonraker-1');
  const two = site.addPrinter('printer_voron_data', 'klipper-voron', 'moonraker-voron');
  await site.addMoonraker(one);
  await site.addMoonraker(two);
  const ran = await site.run(['--yes', '--board', 'octopus-v1.1-f446']);
  expect(ran).toMatchObject({ code: 0, err: '' });
  for (const data of [one, two]) {
    expect(site.read(data, 'config/printer.cfg')).toMatch(/^\[include .*octopus\.cf\?\]\n/);
    expect(site.read(data, 'config/moonraker.conf')).toMatch(
      /^\[include octopus-flasher-moonraker\.conf\]\n/,
    );
    expect(site.read(data, 'moonraker.asvc')).toMatch(/\noctopus-flasher\n$/);
    expect(existsSync(join(data, 'config/.theme/navi.json'))).toBe(true);
  }
  const unit = site.read(site.root, UNIT);
  expect(unit).toContain(`--printer-data ${one}\n`);
  expect(unit).toContain(
    'After=moonraker.service klipper.service moonraker-1.service moonraker-voron.service klipper-1.service klipper-voron.service\n',
  );
  expect(site.told()).toEqual(
    expect.arrayContaining([
      'systemctl restart moonraker-1.service',
      'systemctl restart moonraker-voron.service',
    ]),
  );
  const conf = join(one, 'config/octopus-flasher.conf');
  expect(existsSync(join(two, 'config/octopus-flasher.conf'))).toBe(false);
  const { printers, boards } = readSettings(site.read(conf), conf, { home: site.home, knownBoards: KNOWN });
  expect(printers).toMatchObject([
    { name: 'printer_1', moonraker: { kind: 'unix', path: `${one}/comms/moonraker.sock` } },
    { name: 'voron', moonraker: { kind: 'unix', path: `${two}/comms/moonraker.sock` } },
  ]);
  expect(boards).toMatchObject([{ name: 'octopus', printer: 'printer_1' }]);
  // The command line finds the same folder by itself, also when a printer_data comes later.
  expect(defaultPrinterData(site.home)).toBe(one);
  site.addPrinter('printer_data', 'klipper', 'moonraker');
  expect(defaultPrinterData(site.home)).toBe(one);
  expect((await site.run(['--yes'])).code).toBe(0);
  expect(site.read(site.root, UNIT)).toContain(`--printer-data ${one}\n`);
});

test('without an installation the usual folder is meant, or the first that is a printer', () => {
  site = new InstallSite({ data: '' });
  expect(defaultPrinterData(join(site.top, 'nowhere'))).toBe(join(site.top, 'nowhere/printer_data'));
  expect(defaultPrinterData(site.home)).toBe(join(site.home, 'printer_data'));
  site.addPrinter('printer_b_data', 'klipper-b', 'moonraker-b');
  site.addPrinter('printer_a_data', 'klipper-a', 'moonraker-a');
  expect(defaultPrinterData(site.home)).toBe(join(site.home, 'printer_a_data'));
});

test('a folder that only a unit names; a unit of another user; folders named by hand', async () => {
  site = new InstallSite({ data: '' });
  const odd = site.addPrinter('voron/data', 'klipper', 'moonraker');
  const foreign = site.addPrinter('voron/foreign', 'klipper-2', 'moonraker-2');
  for (const unit of ['klipper-2', 'moonraker-2']) {
    const file = join(site.root, `etc/systemd/system/${unit}.service`);
    site.write(file, site.read(file).replace('User=pi', 'User=else'));
  }
  site.write(join(site.root, 'etc/systemd/system/klipperfleet.service'), '[Service]\nUser=pi\n');
  const ran = await site.run(['--yes']);
  expect(ran).toMatchObject({ code: 0, err: '' });
  expect(ran.out).toContain('klipper-2.service runs as another user than pi');
  expect(site.read(site.root, UNIT)).toContain(`--printer-data ${odd}\n`);
  expect(site.read(foreign, 'config/moonraker.conf')).not.toContain('octopus');
  const third = site.addPrinter('third', 'klipper-3', 'moonraker-3');
  const named = await site.run(['--dry-run', '--printer-data', third]);
  expect(named.out).toContain(`would change ${third}/config/printer.cfg`);
  expect(named.out).not.toContain(`${odd}/config/printer.cfg`);
});

test('the shell macros only where Klipper has the extension, one printer is there, and the clone is where they look', async () => {
  site = new InstallSite();
  const line = () => site.read(site.data, 'config/printer.cfg').split('\n')[0];
  const extension = join(site.home, 'klipper/klippy/extras/gcode_shell_command.py');
  await site.run(['--yes']);
  expect(line()).toBe(`[include ${site.clone}/macros/octopus.cf?]`);
  site.write(extension, '');
  await site.run(['--yes']);
  expect(line()).toBe(`[include ${site.clone}/macros/octopus_shell.cf?]`);
  expect(site.read(site.data, 'config/printer.cfg').match(/macros/g)).toHaveLength(1);
  site.addPrinter('printer_2_data', 'klipper-2', 'moonraker-2');
  await site.run(['--yes']);
  expect(line()).toBe(`[include ${site.clone}/macros/octopus.cf?]`);
  await site.run(['--uninstall', '--yes']);
  expect(site.read(site.data, 'config/printer.cfg')).not.toContain('macros/');
  await site.close();
  site = new InstallSite({ clone: 'src/octopus-flasher' });
  site.write(join(site.home, 'klipper/klippy/extras/gcode_shell_command.py'), '');
  await site.run(['--yes']);
  expect(line()).toBe(`[include ${site.clone}/macros/octopus.cf?]`);
});

test('what a user has decided stays: lines written as comments, macros of his own, a sidebar that is no list', async () => {
  site = new InstallSite();
  const config = join(site.data, 'config');
  const printer = `#[include ${site.clone}/macros/octopus.cf?]\n[mcu]\n`;
  const moonraker = '[server]\n# [include octopus-flasher-moonraker.conf]\n';
  site.write(join(config, 'printer.cfg'), printer);
  site.write(join(config, 'moonraker.conf'), moonraker);
  site.write(join(config, '.theme/navi.json'), '{"title": "x"}');
  const ran = await site.run(['--yes']);
  expect(ran.code).toBe(0);
  expect(site.read(config, 'printer.cfg')).toBe(printer);
  expect(site.read(config, 'moonraker.conf')).toBe(moonraker);
  expect(site.read(config, '.theme/navi.json')).toBe('{"title": "x"}');
  expect(ran.out).toContain('navi.json is no list of links');
  site.write(join(config, 'printer.cfg'), '[include my.cfg]\n');
  site.write(join(config, 'my.cfg'), '[gcode_macro FLASH_OCTOPUS]\ngcode:\n');
  expect((await site.run(['--yes'])).out).toContain(`The macros are in ${config}/my.cfg already`);
  expect(site.read(config, 'printer.cfg')).toBe('[include my.cfg]\n');
});

test('a branch, an address with a login, no clone at all: what Mainsail can and cannot do is said', async () => {
  site = new InstallSite();
  const updates = join(site.data, 'config/octopus-flasher-moonraker.conf');
  site.git('checkout', '-q', '-b', 'beta');
  site.git('remote', 'set-url', 'origin', 'git@example.com:someone/octopus-flasher.git');
  await site.run(['--yes']);
  expect(site.read(updates)).toContain(
    '\norigin: git@example.com:someone/octopus-flasher.git\nprimary_branch: beta\n',
  );
  expect(site.read(site.data, 'config/.theme/navi.json')).toContain(
    'https://example.com/someone/octopus-flasher',
  );
  site.git('remote', 'remove', 'origin');
  const ran = await site.run(['--yes']);
  expect(ran.code).toBe(0);
  expect(ran.out).toContain('Mainsail cannot update it');
});

test('changed code restarts the daemon, and nothing else', async () => {
  site = new InstallSite();
  await site.run(['--yes']);
  site.told();
  site.git('commit', '-q', '--allow-empty', '-m', 'newer');
  await site.run(['--yes']);
  expect(site.told()).toEqual(['systemctl restart octopus-flasher.service']);
  expect((await site.run(['--yes'])).out).toContain('Nothing to change.');
});

test('the three questions: answered, not answered, and never asked twice', async () => {
  site = new InstallSite();
  await site.addMoonraker();
  const first = await site.run([], { input: '6\ny\ny\n' });
  expect(first).toMatchObject({ code: 0, err: '' });
  expect(first.out.match(/\[y\/N\]|Enter to say it later/g)).toHaveLength(3);
  expect(site.read(site.data, 'config/octopus-flasher.conf')).toContain('\nboard: octopus-v1.1-f446\n');
  expect(site.read(site.data, 'octopus-flasher/host.conf')).toContain('\narmed: yes\n');
  expect(site.told()).toContain('systemctl restart moonraker.service');
  const second = await site.run([]);
  expect(second.out).not.toMatch(/\[y\/N\]|Enter to/);
  expect(second.out).toContain('Nothing to change.');
  expect((await site.run(['--no-arm'])).code).toBe(0);
  expect(site.read(site.data, 'octopus-flasher/host.conf')).toContain('\narmed: no\n');

  await site.close();
  site = new InstallSite();
  await site.addMoonraker();
  const silent = await site.run([]);
  expect(silent.code).toBe(0);
  const conf = join(site.data, 'config/octopus-flasher.conf');
  expect(
    readSettings(readFileSync(conf, 'utf8'), conf, { home: site.home, knownBoards: KNOWN }).boards,
  ).toEqual([]);
  expect(site.read(site.data, 'octopus-flasher/host.conf')).toContain('\narmed: no\n');
  expect(site.told()).not.toContain('systemctl restart moonraker.service');
  expect(silent.out).toContain('Left to do: restart Klipper when the printer is idle');
  expect(silent.out).toContain('Left to do: say which board it is');
});
