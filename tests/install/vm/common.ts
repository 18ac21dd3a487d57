// What holds on every release: installed once and twice, hardened, registered, and off again. The tests of a suite run
// one after the other in one guest; between `arrives` and `leaves` a suite has its own.
import { expect, test } from '@jest/globals';
import { figure } from './figures.ts';
import { CLONE, DATA, UNIT, type Site } from './site.ts';
import { contents, difference, touched } from './trees.ts';

export const FLAGS = ['--yes', '--board', 'octopus-v1.1-f446', '--arm'];

export function arrives(site: () => Site, flags: readonly string[] = FLAGS): void {
  test('install.sh: from a clone to an agent', async () => {
    before = await contents(site().vm, [CLONE]);
    const began = performance.now();
    const { code, stdout, stderr } = await site().install(...flags).ended;
    figure(site(), 'install.sh, packages of npm included', performance.now() - began);
    expect([code, stderr]).toMatchObject([0, expect.not.stringMatching(/failed|Error/)]);
    expect(stdout).toContain('octopus-flasher is on this host');
    await site().registered();
    expect(await site().vm.said(`systemctl is-active ${UNIT} klipper moonraker`)).toBe(
      'active\nactive\nactive',
    );
  });

  test('a second time: nothing is written, nothing restarted', async () => {
    const { vm } = site();
    const started = `systemctl show -p InvocationID ${UNIT} klipper moonraker`;
    const [files, runs] = [await touched(vm), await vm.said(started)];
    const { code, stdout } = await site().install(...flags).ended;
    expect([code, stdout]).toMatchObject([0, expect.stringContaining('Nothing to change')]);
    expect(difference(files, await touched(vm))).toEqual([]);
    expect(await vm.said(started)).toBe(runs);
  });

  test('the unit is hardened and well formed', async () => {
    const { vm } = site();
    const file = `/etc/systemd/system/${UNIT}.service`;
    const verified = await vm.sh(`systemd-analyze verify ${file}`, { user: 'root' });
    // Other units that it names are read, too.
    const ours = verified.stderr.split('\n').filter((line) => line.includes(UNIT));
    expect([verified.code, ours]).toEqual([0, []]);
    const security = await vm.said(`systemd-analyze security --no-pager ${UNIT} | tail -n 1`, {
      user: 'root',
    });
    const exposure = Number(/: ([\d.]+) /.exec(security)?.[1]);
    figure(site(), 'exposure by systemd-analyze security', exposure, '');
    expect(exposure).toBeLessThanOrEqual(2.5);
  });

  test('the daemon is pi, without capabilities, and may only what it needs', async () => {
    const { vm } = site();
    const main = await vm.said(`systemctl show -p MainPID --value ${UNIT}`);
    const status = await vm.said(`cat /proc/${main}/status`, { user: 'root' });
    expect(status).toMatch(/^Uid:\t(?!0\t)(\d+)\t\1\t\1\t\1$/m);
    for (const kind of ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb'])
      expect(status).toMatch(new RegExp(`^Cap${kind}:\\t0+$`, 'm'));
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(status).toMatch(/^Seccomp:\t2$/m);
    const mib = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024;
    figure(site(), 'memory of the daemon, idle', mib('VmRSS'), 'MiB');
    figure(site(), 'of it not shared with its files', mib('RssAnon'), 'MiB');
  });

  test('from a stop to registered again, without a network; and what lies on the disk', async () => {
    const { vm } = site();
    await vm.said(`sudo systemctl stop ${UNIT}`);
    const asked = site().remotes.asked.length;
    const began = performance.now();
    await vm.said(`sudo systemctl start ${UNIT}`);
    await site().registered();
    figure(site(), 'systemctl start to registered at Moonraker', performance.now() - began);
    // A printer may be offline for months.
    expect(site().remotes.asked.slice(asked)).toEqual([]);
    const [tree, clone] = (await vm.said(`du -sk ${CLONE}/node_modules ${CLONE} | cut -f 1`)).split('\n');
    figure(site(), 'node_modules, Node itself included', Number(tree) / 1024, 'MiB');
    figure(site(), 'the clone beside it, its history included', Number(clone) / 1024, 'MiB');
  });
}

let before: readonly string[];

export function leaves(site: () => Site): void {
  test('--uninstall: /etc and the home folder are as before, configuration and backups stay', async () => {
    const { vm } = site();
    const { code, stdout } = await site().install('--uninstall', '--yes').ended;
    expect([code, stdout]).toMatchObject([0, expect.stringContaining('octopus-flasher is off this host')]);
    const kept = [CLONE, `${DATA}/octopus-flasher`, `${DATA}/config/octopus-flasher.conf`];
    const found = difference(before, await contents(vm, kept));
    // What each changed file was before lies beside it.
    expect(found.filter((line) => !line.includes('.before-octopus-flasher'))).toEqual([]);
    expect((await vm.sh(`systemctl status ${UNIT}`)).code).toBe(4);
    await site().klipperReady();
  });

  test('--uninstall --purge: nothing is left but the clone', async () => {
    expect((await site().install('--uninstall', '--purge', '--yes').ended).code).toBe(0);
    expect(difference(before, await contents(site().vm, [CLONE]))).toEqual([]);
    await site().klipperReady();
  });
}
