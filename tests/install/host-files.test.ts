// install.sh --can and --pins: the host's CAN files by whichever system this host uses, and config.txt.
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { chmodSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { InstallSite } from './site.ts';

jest.setTimeout(120_000);

let site: InstallSite;
beforeEach(() => {
  site = new InstallSite();
});
afterEach(() => site.close());

const at = (file: string) => join(site.root, file);
const IFUPDOWN = 'etc/network/interfaces.d/can0';
const NETWORKD = 'etc/systemd/network/25-can.network';
const QUEUE = 'etc/udev/rules.d/10-can.rules';
const ifupdown = () => {
  site.write(at('etc/network/interfaces'), 'source /etc/network/interfaces.d/*\n');
  site.write(at('sbin/ifup'), '#!/bin/sh\n');
  chmodSync(at('sbin/ifup'), 0o755);
};

test("ifupdown where the host uses it: Klipper's own lines", async () => {
  ifupdown();
  const ran = await site.run(['--yes', '--can', '500000']);
  expect(ran).toMatchObject({ code: 0, err: '' });
  // Klipper, docs/CANBUS.md
  expect(site.read(at(IFUPDOWN))).toBe(
    'allow-hotplug can0\niface can0 can static\n    bitrate 500000\n    up ip link set $IFACE txqueuelen 128\n',
  );
  expect(existsSync(at(NETWORKD))).toBe(false);
  expect(ran.out).toContain('    +    bitrate 500000');
  expect(ran.out.indexOf('+    bitrate 500000')).toBeLessThan(ran.out.indexOf(`write ${at(IFUPDOWN)}`));
  expect(site.told().join('\n')).not.toMatch(/networkd|ifup/);
  expect((await site.run(['--yes', '--can', '500000'])).out).toContain('Nothing to change.');
});

test('what somebody else wrote: the difference is shown first, the old file kept where ifupdown does not read it', async () => {
  ifupdown();
  const theirs =
    'auto can0\niface can0 can static\n    bitrate 250000\n    up ifconfig $IFACE txqueuelen 1024\n';
  site.write(at(IFUPDOWN), theirs);
  const ran = await site.run(['--yes', '--can', '1000000']);
  expect(ran.out).toContain('    -    bitrate 250000');
  expect(ran.out).toContain('Left to do: CAN takes effect when can0 comes anew');
  expect(site.read(at('var/backups/octopus-flasher-can0'))).toBe(theirs);
  expect(existsSync(at(`${IFUPDOWN}.before-octopus-flasher`))).toBe(false);
  expect(await site.run(['--uninstall', '--yes'])).toMatchObject({ code: 0, err: '' });
  expect(site.read(at(IFUPDOWN))).toBe(theirs);
});

test('interfaces.d that nobody reads is said', async () => {
  ifupdown();
  site.write(at('etc/network/interfaces'), 'auto lo\niface lo inet loopback\n');
  expect((await site.run(['--yes', '--can', '500000'])).out).toContain('add the line: source /etc/network');
});

test('systemd-networkd where the host uses it, or where there is no ifupdown; beside NetworkManager nothing waits', async () => {
  const ran = await site.run(['--yes', '--can', '1000000']);
  expect(ran).toMatchObject({ code: 0, err: '' });
  expect(site.read(at(NETWORKD))).toBe(
    '[Match]\nName=can*\n\n[CAN]\nBitRate=1000000\nRestartSec=100ms\n\n[Link]\nRequiredForOnline=no\n',
  );
  expect(site.read(at(QUEUE))).toBe(
    'SUBSYSTEM=="net", ACTION=="add|change", KERNEL=="can*", ATTR{tx_queue_len}="128"\n',
  );
  expect(site.told()).toEqual(
    expect.arrayContaining([
      'systemctl enable --now systemd-networkd.service',
      'systemctl disable systemd-networkd-wait-online.service',
    ]),
  );
  expect((await site.run(['--yes', '--can', '1000000'])).out).toContain('Nothing to change.');
  expect(await site.run(['--uninstall', '--yes'])).toMatchObject({ code: 0, err: '' });
  expect([existsSync(at(NETWORKD)), existsSync(at(QUEUE))]).toEqual([false, false]);
  expect(site.told()).toContain('systemctl disable --now systemd-networkd.service');
});

test('a host whose networkd runs already keeps it as it is, on and off', async () => {
  ifupdown();
  site.write(join(site.top, 'is-enabled-systemd-networkd.service'), '');
  await site.run(['--yes', '--can', '1000000']);
  expect(existsSync(at(NETWORKD))).toBe(true);
  expect(existsSync(at(IFUPDOWN))).toBe(false);
  await site.run(['--uninstall', '--yes']);
  expect(site.told().join('\n')).not.toContain('networkd');
});

const CONFIG = 'boot/firmware/config.txt';
const PINS =
  '# octopus-flasher: BOOT0 and reset rest where the board has them\n[all]\ngpio=26=ip,pd\ngpio=19=ip,pu\n';

test('--pins: at the end, for every model, offered else; off again to the byte', async () => {
  const before = '# mine\r\ndtparam=audio=on\r\n[pi4]\narm_boost=1';
  site.write(at(CONFIG), before);
  const plain = await site.run(['--yes']);
  expect(plain.out).toContain('offered: ./install.sh --pins');
  expect(site.read(at(CONFIG))).toBe(before);
  expect(await site.run(['--yes', '--pins'])).toMatchObject({ code: 0, err: '' });
  expect(site.read(at(CONFIG))).toBe(`${before}\n${PINS}`);
  const again = await site.run(['--yes', '--pins']);
  expect(again.out).toContain('Nothing to change.');
  expect(again.out).not.toContain('offered');
  expect(await site.run(['--uninstall', '--yes'])).toMatchObject({ code: 0, err: '' });
  expect(site.read(at(CONFIG))).toBe(before);
});

test("--pins takes the owner's pins, and changes its lines when they change", async () => {
  site.write(at(CONFIG), 'dtparam=spi=on\n');
  const host = join(site.data, 'octopus-flasher/host.conf');
  site.write(host, '[octopus-flasher]\n[board octopus]\nboot0_pin: gpio5\nreset_pin: gpiochip0/gpio6\n');
  chmodSync(host, 0o600);
  await site.run(['--yes', '--pins']);
  expect(site.read(at(CONFIG))).toContain('\ngpio=5=ip,pd\ngpio=6=ip,pu\n');
  site.write(host, site.read(host).replace('gpio5', 'gpio12'));
  await site.run(['--yes', '--pins']);
  expect(site.read(at(CONFIG)).match(/gpio=/g)).toHaveLength(2);
  expect(site.read(at(CONFIG))).toContain('\ngpio=12=ip,pd\ngpio=6=ip,pu\n');
});

describe('pins that are used are refused, before anything is changed', () => {
  test.each<readonly [string, string, string, RegExp]>([
    ['SPI1', 'dtoverlay=spi1-3cs\n', '', /GPIO19 is SPI1's/],
    ['I2S', 'dtparam=i2c=on,i2s=on\n', '', /GPIO19 is I2S's/],
    ['a sound card', 'dtoverlay=hifiberry-dac\r\n', '', /GPIO19 is I2S's/],
    ['another gpio= line', 'gpio=2,20-27=op,dh\n', '', /GPIO26 is used/],
    ['a shutdown button', 'dtoverlay=gpio-shutdown,gpio_pin=26\n', '', /GPIO26 is used/],
    [
      "Klipper's host MCU",
      '',
      '[mcu rpi]\nserial: /tmp/klipper_host_mcu\n[output_pin fan]\npin: !rpi:gpio26\n',
      /printer\.cfg uses GPIO26 of this host \(rpi:gpio26\)/,
    ],
    ['pins of an expander', '', 'HOST', /no GPIOs of the Raspberry Pi itself/],
  ])('%s', async (_name, config, printer, words) => {
    site.write(at(CONFIG), config);
    if (printer === 'HOST')
      site.write(
        join(site.data, 'octopus-flasher/host.conf'),
        '[board octopus]\nboot0_pin: viperboard/gpio8\nreset_pin: gpio6\n',
      );
    else site.write(join(site.data, 'config/host.cfg'), printer);
    const before = site.snapshot();
    const ran = await site.run(['--yes', '--pins']);
    expect(ran.code).toBe(3);
    expect(ran.err).toMatch(words);
    expect(site.snapshot()).toEqual(before);
  });

  test('what only looks alike is none: comments, other numbers, another MCU with pins of that name', async () => {
    site.write(
      at(CONFIG),
      '#dtoverlay=spi1-1cs\ngpio=2=op\ndtoverlay=spi0-1cs\ngpio=126=ip\ndtoverlay=vc4-kms-v3d\ndtparam=i2s=off\n',
    );
    site.write(
      join(site.data, 'config/tool.cfg'),
      '[mcu rpi]\nserial: /tmp/klipper_host_mcu\n[mcu sht36]\ncanbus_uuid: 1\n[fan]\npin: sht36:gpio26\n# rpi:gpio26\n[led x]\npin: rpi:gpio2\n',
    );
    expect(await site.run(['--yes', '--pins'])).toMatchObject({ code: 0, err: '' });
  });
});
