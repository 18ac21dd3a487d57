// install.sh --uninstall: home and root as they were, byte for byte; what others have changed since stays; --purge.
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { InstallSite } from './site.ts';

jest.setTimeout(120_000);

let site: InstallSite;
beforeEach(() => {
  site = new InstallSite();
});
afterEach(() => site.close());

const conf = () => join(site.data, 'config/moonraker.conf');
const cfg = () => join(site.data, 'config/printer.cfg');
const services = () => join(site.data, 'moonraker.asvc');
const links = () => join(site.data, 'config/.theme/navi.json');

// What users' files look like.
const FILES = {
  'plain text': {
    conf: '# mine\n[server]\nhost: 0.0.0.0\n\n[authorization]\ntrusted_clients:\n    192.168.0.0/16\n',
    cfg: '[include mainsail.cfg]\n[mcu]\nserial: /dev/x\n\n#*# <---------------------- SAVE_CONFIG ---------------------->\n#*# [extruder]\n#*# control = pid\n',
    services: 'klipper_mcu\nsonar\n',
    links: '[\n  { "title": "Docs", "href": "https://example.com", "position": 5 }\n]\n',
  },
  'CRLF, tabs and a last line without an end': {
    conf: '[server]\r\nhost:\t0.0.0.0\r\n\r\n# end',
    cfg: '\r\n[mcu]\r\nserial: /dev/x\r\n# größe',
    services: 'klipper_mcu\r\nsonar',
    links: '[{"title":"Größe","href":"/x"}]',
  },
  'nothing in them': { conf: '', cfg: '', services: '', links: '[]' },
  'our names in other words': {
    conf: '# [include octopus-flasher-moonraker.confx]\n[include my-octopus.conf]\n',
    cfg: '[include octopus.cfg*]\n[octopus]\n',
    services: 'my-octopus-flasher\n',
    links: '[{"title":"octopus","href":"/x"}\n\n]\n\n',
  },
} as const;

describe.each(Object.entries(FILES))('%s', (_name, texts) => {
  test('on and off again with --purge: home and root are what they were', async () => {
    site.write(conf(), texts.conf);
    site.write(cfg(), texts.cfg);
    site.write(services(), texts.services);
    site.write(links(), texts.links);
    const before = site.snapshot({ times: false });
    expect(
      await site.run(['--yes', '--arm', '--can', '1000000', '--board', 'octopus-pro-h723']),
    ).toMatchObject({ code: 0, err: '' });
    const [first = ''] = texts.conf.split('\n', 1);
    const end = first.endsWith('\r') ? '\r\n' : '\n';
    expect(site.read(conf())).toBe(`[include octopus-flasher-moonraker.conf]${end}${texts.conf}`);
    expect(site.read(cfg())).toMatch(/^\[include [^\n]*octopus\.cf\?\]\r?\n/);
    expect(site.read(cfg()).endsWith(texts.cfg)).toBe(true);
    expect(site.read(services()).split(/\r?\n/)).toContain('octopus-flasher');
    expect(JSON.parse(site.read(links()))).toHaveLength((JSON.parse(texts.links) as unknown[]).length + 1);
    expect(await site.run(['--uninstall', '--purge', '--yes'])).toMatchObject({ code: 0, err: '' });
    // Folders of the system that every real host has.
    for (const folder of ['etc/systemd/network', 'var/cache', 'var']) {
      const path = join(site.root, folder);
      if (existsSync(path) && !(path in before)) rmSync(path, { recursive: true });
    }
    expect(site.snapshot({ times: false })).toEqual(before);
    expect((await site.run(['--uninstall', '--purge', '--yes'])).out).toContain('Nothing to change.');
  });
});

test('without --purge: configuration and backups stay; everything else is gone', async () => {
  await site.addMoonraker();
  await site.run(['--yes', '--arm', '--board', 'octopus-v1.1-f446']);
  site.told();
  const backup = join(site.data, 'octopus-flasher/backups/one.bin');
  site.write(backup, 'firmware');
  const ran = await site.run(['--uninstall', '--yes']);
  expect(ran).toMatchObject({ code: 0, err: '' });
  expect(ran.out).toContain('octopus-flasher is off this host.');
  for (const kept of [
    backup,
    join(site.data, 'octopus-flasher/host.conf'),
    join(site.data, 'config/octopus-flasher.conf'),
  ])
    expect([kept, existsSync(kept)]).toEqual([kept, true]);
  for (const gone of [
    `${conf()}.before-octopus-flasher`,
    join(site.data, 'octopus-flasher/installed'),
    join(site.data, 'config/octopus-flasher-moonraker.conf'),
    join(site.data, 'config/.theme'),
    join(site.root, 'etc/systemd/system/octopus-flasher.service'),
    join(site.root, 'etc/udev/rules.d/70-octopus-flasher.rules'),
  ])
    expect([gone, existsSync(gone)]).toEqual([gone, false]);
  // The job that runs is waited for before anything is taken away; groups that were ours are left again.
  expect(site.told()).toEqual([
    'systemctl disable --now octopus-flasher.service',
    'udevadm control --reload',
    'systemctl daemon-reload',
    'gpasswd -d pi gpio',
    'gpasswd -d pi plugdev',
    'systemctl restart moonraker.service',
  ]);
  expect((await site.run(['--uninstall', '--yes'])).out).toContain('Nothing to change.');
  // What was armed stays armed for whoever comes back.
  expect((await site.run(['--yes'])).code).toBe(0);
  expect(site.read(site.data, 'octopus-flasher/host.conf')).toContain('armed: yes');
});

test('what others have changed since stays as they have it', async () => {
  site.write(links(), '[{"title":"Docs","href":"/docs"}]\n');
  await site.run(['--yes']);
  site.write(conf(), site.read(conf()).replace('host: 0.0.0.0', 'host: 127.0.0.1'));
  // Moved by hand, and with spaces behind it.
  const [line = '', ...rest] = site.read(cfg()).split('\n');
  site.write(cfg(), `${rest.join('\n')}${line}  \n[fan]\n`);
  site.write(services(), `${site.read(services())}mine\n`);
  const list = JSON.parse(site.read(links())) as object[];
  site.write(links(), JSON.stringify([...list, { title: 'Later', href: '/later' }]));
  expect(await site.run(['--uninstall', '--yes'])).toMatchObject({ code: 0, err: '' });
  expect(site.read(conf())).toBe('[server]\nhost: 127.0.0.1\n\n[update_manager]\n');
  expect(site.read(cfg())).toBe('[include mainsail.cfg]\n\n[mcu]\nserial: /dev/x\n[fan]\n');
  expect(site.read(services())).toBe('klipper_mcu\nwebcamd\nKlipperScreen\nmine\n');
  expect(JSON.parse(site.read(links()))).toEqual([
    { title: 'Docs', href: '/docs' },
    { title: 'Later', href: '/later' },
  ]);
});

test('a dry run of it changes nothing; a list that is lost keeps nothing from being taken off', async () => {
  await site.run(['--yes']);
  site.told();
  const before = site.snapshot();
  const ran = await site.run(['--uninstall', '--purge', '--dry-run']);
  expect(ran).toMatchObject({ code: 0, err: '' });
  expect(ran.out).toContain('would remove');
  expect(ran.out).toContain('-[include octopus-flasher-moonraker.conf]');
  expect(site.snapshot()).toEqual(before);
  expect(site.told()).toEqual([]);
  rmSync(join(site.data, 'octopus-flasher/installed'));
  expect(await site.run(['--uninstall', '--yes'])).toMatchObject({ code: 0, err: '' });
  expect(site.read(cfg())).toBe('[include mainsail.cfg]\n\n[mcu]\nserial: /dev/x\n');
  expect(existsSync(join(site.root, 'etc/systemd/system/octopus-flasher.service'))).toBe(false);
});
