// install.sh and a printer that works: nothing is restarted that prints, moves, or of which nobody can say what it does;
// and a Klipper that does not take the macros gets its old file back.
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { join } from 'node:path';
import { InstallSite } from './site.ts';

jest.setTimeout(120_000);

let site: InstallSite;
beforeEach(() => {
  site = new InstallSite();
});
afterEach(() => site.close());

const cfg = () => site.read(site.data, 'config/printer.cfg');
const restarts = () => site.told().filter((line) => line.includes('restart'));

describe.each([
  ['printing', { print: 'printing' }],
  ['paused', { print: 'paused' }],
  ['homing', { idle: 'Printing' }],
  ['starting', { klippy: 'startup' }],
])('%s', (_name, answers) => {
  test('it is left alone, and what is left to do is said', async () => {
    const moonraker = await site.addMoonraker(site.data, answers);
    const ran = await site.run(['--yes']);
    expect(ran).toMatchObject({ code: 0, err: '' });
    expect(cfg()).toContain('macros/octopus');
    expect(moonraker.asked).not.toContain('printer.restart');
    expect(restarts()).toEqual([]);
    expect(ran.out).toContain('Left to do: restart Klipper when the printer is idle');
    expect(ran.out).toContain(
      'Left to do: restart Moonraker when the printer is idle: sudo systemctl restart moonraker.service',
    );
  });
});

test.each(['no Moonraker', 'one that answers with an error', 'one that leaves things out'])(
  '%s: nobody can say, so nothing is restarted',
  async (which) => {
    if (which !== 'no Moonraker') {
      const moonraker = await site.addMoonraker();
      moonraker.answers.set('printer.objects.query', () => {
        if (which.endsWith('error')) throw new Error('Klippy Request Timed Out');
        return { status: { print_stats: { state: 'standby' } } };
      });
    }
    const ran = await site.run(['--yes']);
    expect(ran).toMatchObject({ code: 0, err: '' });
    expect(restarts()).toEqual([]);
    expect(site.moonrakers[0]?.asked ?? []).not.toContain('printer.restart');
    expect(ran.out).toContain('Left to do: restart Moonraker');
  },
);

test('a Klipper that does not run is not started; Moonraker is restarted then', async () => {
  const moonraker = await site.addMoonraker();
  moonraker.answers.set('server.info', () => ({ klippy_connected: false, klippy_state: 'disconnected' }));
  const ran = await site.run(['--yes']);
  expect(ran).toMatchObject({ code: 0, err: '' });
  expect(moonraker.asked).not.toContain('printer.restart');
  expect(restarts()).toEqual(['systemctl restart moonraker.service']);
});

test('a Klipper that was well and does not take the line gets its old file back, and is well again', async () => {
  const moonraker = await site.addMoonraker();
  const before = cfg();
  let state = 'ready';
  moonraker.answers.set('server.info', () => ({ klippy_connected: true, klippy_state: state }));
  moonraker.answers.set('printer.restart', () => {
    moonraker.notify('notify_klippy_disconnected');
    state = cfg().includes('macros/octopus') ? 'error' : 'ready';
    return 'ok';
  });
  const ran = await site.run(['--yes']);
  expect(ran).toMatchObject({ code: 0, err: '' });
  expect(cfg()).toBe(before);
  expect(state).toBe('ready');
  expect(ran.out).toContain('Klipper does not take the macros (state "error")');
  expect(ran.out).toContain('Left to do: the macros were not taken');
});

test('a Klipper in error may be restarted: it does not print; its file is left as written', async () => {
  const moonraker = await site.addMoonraker(site.data, { klippy: 'error' });
  const ran = await site.run(['--yes']);
  expect(ran).toMatchObject({ code: 0, err: '' });
  expect(moonraker.asked).toContain('printer.restart');
  expect(cfg()).toContain('macros/octopus');
  expect(restarts()).toEqual(['systemctl restart moonraker.service']);
});

test('a daemon that does not start is said, with the way to its reason', async () => {
  const systemctl = join(site.top, 'bin/systemctl');
  site.write(systemctl, site.read(systemctl).replace('start|restart) :', 'start|restart) exit 1; :'));
  const ran = await site.run(['--yes']);
  expect(ran.code).toBe(1);
  expect(ran.out).toContain(
    'Left to do: octopus-flasher.service does not start: journalctl -u octopus-flasher.service',
  );
});
