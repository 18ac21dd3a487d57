// install.sh on a host that never saw it: what it writes where, what it says, that a second run changes nothing, and that
// a dry run changes nothing at all.
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { readHostSettings } from '../../src/config/host-settings.ts';
import { readSettings } from '../../src/config/settings.ts';
import { InstallSite, repository } from './site.ts';

jest.setTimeout(120_000);

let site: InstallSite;
beforeEach(() => {
  site = new InstallSite({ isWhole: true });
});
afterEach(() => site.close());

const UNIT = 'etc/systemd/system/octopus-flasher.service';
const mode = (...parts: string[]) => (statSync(join(...parts)).mode & 0o777).toString(8);

test('first: everything is there; second: nothing to change, and not a time of change is another', async () => {
  await site.addMoonraker();
  const before = {
    printer: site.read(site.data, 'config/printer.cfg'),
    moonraker: site.read(site.data, 'config/moonraker.conf'),
    services: site.read(site.data, 'moonraker.asvc'),
  };
  const first = await site.run(['--yes', '--arm', '--board', 'octopus-v1.1-f446']);
  expect(first).toMatchObject({ code: 0, err: '' });
  expect(first.out).toContain('octopus-flasher is on this host.');
  expect(first.out).toContain('octopus doctor');
  expect(first.out).not.toContain('[y/N]');

  // The system: never the user's own act, always through sudo.
  expect(site.told()).toEqual([
    'usermod -aG gpio pi',
    'usermod -aG plugdev pi',
    'udevadm control --reload',
    'udevadm trigger --action=change --subsystem-match=usb --subsystem-match=tty --subsystem-match=gpio',
    'systemctl daemon-reload',
    'systemctl enable octopus-flasher.service',
    'systemctl restart moonraker.service',
    'systemctl start octopus-flasher.service',
  ]);
  const unit = site.read(site.root, UNIT);
  expect(unit).not.toMatch(/@[A-Z]+@/);
  expect(unit).toContain(`\nExecStart=${site.clone}/bin/octopus daemon --printer-data ${site.data}\n`);
  expect(unit).toContain('\nUser=pi\n');
  expect(unit).toContain('\nSupplementaryGroups=moonraker-admin\n');
  expect(unit).toContain('\nAfter=moonraker.service klipper.service\n');
  expect(unit).toContain(`\nReadWritePaths=-${site.clone} -${site.data}\n`);
  expect(site.read(site.root, 'etc/udev/rules.d/70-octopus-flasher.rules')).toBe(
    site.read(site.clone, 'systemd/70-octopus-flasher.rules'),
  );

  // Moonraker: the service, the section in a file of its own, one line for it; the rest as it was.
  expect(site.read(site.data, 'moonraker.asvc')).toBe(`${before.services}octopus-flasher\n`);
  expect(site.read(site.data, 'config/moonraker.conf')).toBe(
    `[include octopus-flasher-moonraker.conf]\n${before.moonraker}`,
  );
  expect(site.read(site.data, 'config/octopus-flasher-moonraker.conf')).toBe(
    `# Written by install.sh of octopus-flasher, and written anew whenever it runs.
[update_manager octopus-flasher]
type: git_repo
path: ${site.clone}
origin: https://github.com/octopus-flasher/octopus-flasher.git
primary_branch: main
managed_services: octopus-flasher
system_dependencies: system_dependencies.json
info_tags:
    desc=Octopus Flasher
`,
  );
  for (const [name, text] of [
    ['config/moonraker.conf', before.moonraker],
    ['config/printer.cfg', before.printer],
    ['moonraker.asvc', before.services],
  ] as const)
    expect(site.read(site.data, `${name}.before-octopus-flasher`)).toBe(text);

  // Klipper: one line, through a wildcard. Mainsail: a link.
  expect(site.read(site.data, 'config/printer.cfg')).toBe(
    `[include ${site.clone}/macros/octopus.cf?]\n${before.printer}`,
  );
  expect(JSON.parse(site.read(site.data, 'config/.theme/navi.json'))).toEqual([
    expect.objectContaining({
      title: 'Octopus',
      href: 'https://github.com/octopus-flasher/octopus-flasher',
    }),
  ]);

  // The two configuration files, as the daemon reads them.
  const conf = join(site.data, 'config/octopus-flasher.conf');
  const facts = { home: site.home, printerData: site.data, knownBoards: ['octopus-v1.1-f446'] };
  expect(readSettings(site.read(conf), conf, facts).boards).toMatchObject([
    { name: 'octopus', board: 'octopus-v1.1-f446', mcu: 'mcu' },
  ]);
  const host = join(site.data, 'octopus-flasher/host.conf');
  expect([mode(host), mode(site.data, 'octopus-flasher')]).toEqual(['600', '700']);
  expect(
    readHostSettings(site.read(host), host, {
      home: site.home,
      mode: 0o600,
      isOwn: true,
      real: host,
      roots: [],
    }).isArmed,
  ).toBe(true);
  expect(site.moonrakers[0]?.asked.filter((method) => method === 'printer.restart')).toHaveLength(1);

  const whole = site.snapshot();
  const second = await site.run(['--yes', '--arm']);
  expect(second).toMatchObject({ code: 0, err: '' });
  expect(second.out).toContain('Nothing to change.');
  expect(site.snapshot()).toEqual(whole);
  expect(site.told()).toEqual([]);
  expect(site.moonrakers[0]?.asked.filter((method) => method === 'printer.restart')).toHaveLength(1);
});

test('a dry run shows every change and makes none, starts nothing and asks nothing', async () => {
  const moonraker = await site.addMoonraker();
  site.tool('sudo', 'echo "sudo $*" >>"$SITE/sudo"; exit 1', false);
  const before = site.snapshot();
  const ran = await site.run(['--dry-run', '--arm', '--can', '500000', '--board', 'octopus-v1.1-f446']);
  expect(ran).toMatchObject({ code: 0, err: '' });
  expect(site.snapshot()).toEqual(before);
  expect(site.told()).toEqual([]);
  expect(existsSync(join(site.top, 'sudo'))).toBe(false);
  expect(existsSync(join(site.top, 'cache'))).toBe(false);
  expect(moonraker.asked).toEqual([]);
  for (const shown of [
    `would write ${site.root}/${UNIT}`,
    '    +WatchdogSec=2min',
    'would make pi a member of gpio (sudo usermod -aG gpio pi)',
    `would change ${site.data}/config/printer.cfg`,
    `    +[include ${site.clone}/macros/octopus.cf?]`,
    '    +octopus-flasher',
    '    +board: octopus-v1.1-f446',
    '    +BitRate=500000',
    'octopus arm',
    'changes would be made; none was.',
  ])
    expect(ran.out).toContain(shown);
});

test('the packages of npm: Debian brings what is missing, the launcher installs, a failure says the cure', async () => {
  rmSync(join(site.clone, 'node_modules'), { recursive: true });
  // A PATH in which there is no npm until apt-get brings it.
  const bare = join(site.top, 'bare');
  mkdirSync(bare);
  for (const name of readdirSync('/usr/bin'))
    if (!/^(npm|npx|node|nodejs)$/.test(name)) symlinkSync(join('/usr/bin', name), join(bare, name));
  rmSync(join(site.top, 'bin/npm'));
  const env = { PATH: `${join(site.top, 'bin')}:${bare}`, REAL: join(repository, 'node_modules') };
  site.write(join(site.top, 'npm-offline'), '#!/bin/sh\nexit 1\n');
  site.tool('apt-get', 'if [ "$1" != update ]; then install -m 755 "$SITE/npm-offline" "$SITE/bin/npm"; fi');
  const failed = await site.run(['--yes'], { env });
  expect(failed.code).toBe(1);
  expect(failed.err).toContain('Is this host connected to the network?');
  expect(site.told()).toEqual([
    'apt-get update -q',
    'apt-get install -y -q --no-install-recommends nodejs npm',
  ]);
  // Nothing of the system or of a printer was touched before the tree was there.
  expect(existsSync(join(site.root, UNIT))).toBe(false);

  site.tool(
    'npm',
    'echo "$npm_config_cache" >"$SITE/npm-cache"; mkdir node_modules; ln -s "$REAL"/* node_modules/',
  );
  expect(await site.run(['--yes'], { env })).toMatchObject({ code: 0 });
  expect(existsSync(join(site.clone, 'node_modules/commander'))).toBe(true);
  // Its downloads do not stay in the user's home.
  expect(site.read(site.top, 'npm-cache')).toMatch(/\/tmp\.[^/]+\/npm\n$/);
  expect(existsSync(join(site.home, '.npm'))).toBe(false);
  expect(site.told()).toEqual(
    expect.arrayContaining([
      'npm ci --no-audit --no-fund --fetch-retries=1 --omit=dev',
      'systemctl start octopus-flasher.service',
    ]),
  );
});

test('what Debian brings is what system_dependencies.json says, which Moonraker reads', () => {
  const { debian } = JSON.parse(site.read(site.clone, 'system_dependencies.json')) as { debian: string[] };
  expect(debian).toEqual(['nodejs', 'npm']);
  // moonraker/utils/sysdeps_parser.py: a name, or a name and a condition behind a semicolon.
  for (const one of debian) expect(one).toMatch(/^[a-z0-9.+-]+$/);
});

test('a link as printer.cfg, a group that is not there, logs elsewhere, no Moonraker configuration', async () => {
  const config = join(site.data, 'config');
  mkdirSync(join(site.home, 'elsewhere'));
  renameSync(join(config, 'printer.cfg'), join(site.home, 'elsewhere/printer.cfg'));
  symlinkSync('../../elsewhere/printer.cfg', join(config, 'printer.cfg'));
  rmSync(join(site.data, 'logs'), { recursive: true });
  mkdirSync(join(site.home, 'klipper_logs'));
  symlinkSync(join(site.home, 'klipper_logs'), join(site.data, 'logs'));
  rmSync(join(config, 'moonraker.conf'));
  site.write(join(site.root, 'etc/group'), 'root:x:0:\ndialout:x:20:\n');
  const ran = await site.run(['--yes']);
  expect(ran).toMatchObject({ code: 0, err: '' });
  expect(lstatSync(join(config, 'printer.cfg')).isSymbolicLink()).toBe(true);
  expect(site.read(site.home, 'elsewhere/printer.cfg')).toMatch(/^\[include .*octopus\.cf\?\]\n/);
  expect(site.read(site.root, UNIT)).toContain(
    `ReadWritePaths=-${site.clone} -${site.data} -${site.home}/klipper_logs\n`,
  );
  expect(site.read(site.root, UNIT)).not.toContain('SupplementaryGroups');
  // Debian has no group gpio: it is made, and unmade when it goes.
  expect(site.told().filter((line) => /group|usermod/.test(line))).toEqual([
    'groupadd --system gpio',
    'usermod -aG gpio pi',
  ]);
  expect(ran.out).toContain(`left to do: there is no ${config}/moonraker.conf`);
});
