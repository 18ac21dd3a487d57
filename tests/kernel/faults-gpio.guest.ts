// Runs in the guest as root: lines that others have, by both adapters, and a chip that is pulled while they are ours.
import { afterEach, expect, test } from '@jest/globals';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { hardwareGpio } from '../../src/hardware/gpio.ts';
import { askBench, until } from './bench-person.ts';
import { ours } from './faults-ours.ts';

const label = 'viperboard gpio a';
const PINS = { boot0: `${label}/gpio0`, nrst: `${label}/gpio1` };
const FLOATING = { boot0: 'floating', nrst: 'floating' };
const chardev = hardwareGpio({ force: 'chardev' });
const sysfs = hardwareGpio({ force: 'sysfs' });

const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

/** `gpiochip0`, and its first line's number in sysfs. */
const names = () => {
  const folder = '/sys/class/gpio';
  const own = readdirSync(folder).find(
    (name) => name.startsWith('gpiochip') && readFileSync(`${folder}/${name}/label`, 'utf8').trim() === label,
  );
  const chip = /^(gpiochip\d+) \[viperboard gpio a\]/m.exec(String(execFileSync('gpiodetect')))?.[1];
  if (own === undefined || chip === undefined) throw new Error('no chip of the expander');
  return { chip, base: Number(own.slice('gpiochip'.length)) };
};

test('held by gpioset: the line and the name it gave; the other line stays free', async () => {
  const { chip } = names();
  const holder = spawn('gpioset', ['--mode=signal', label, '5=0'], { stdio: 'inherit' });
  children.push(holder);
  await until('gpioset at work', () => /line +5:.*"gpioset"/.test(String(execFileSync('gpioinfo', [label]))));
  expect(await ours(chardev.open({ ...PINS, nrst: `${label}/gpio5` }))).toEqual({
    code: 'busy',
    message: `${chip} (${label}) line 5 is held by "gpioset"`,
    advice:
      'End the program that holds the line, or take it out of its configuration; gpioinfo shows all lines with their holders.',
    place: `${chip}/5`,
  });
  await (await chardev.open(PINS)).close();
  expect(await ours(sysfs.open({ ...PINS, nrst: `${label}/gpio5` }))).toMatchObject({
    code: 'busy',
    message: `${label} line 5 is held by a driver or another program`,
    advice: expect.stringContaining('sudo cat /sys/kernel/debug/gpio'),
  });
  await (await sysfs.open(PINS)).close();
});

test('exported in sysfs by who died with reset low: named for one adapter, taken over by the other', async () => {
  const { chip, base } = names();
  writeFileSync('/sys/class/gpio/export', `${base + 1}`);
  writeFileSync(`/sys/class/gpio/gpio${base + 1}/direction`, 'low');
  expect(await askBench('meter')).toEqual({ ...FLOATING, nrst: 'low' });
  expect(await ours(chardev.open(PINS))).toMatchObject({
    code: 'busy',
    message: `${chip} (${label}) line 1 is held by "sysfs"`,
  });
  const lines = await sysfs.open(PINS);
  expect(await askBench('meter')).toEqual(FLOATING);
  await lines.close();
  expect(existsSync(`/sys/class/gpio/gpio${base + 1}`)).toBe(false);
  await (await chardev.open(PINS)).close();
});

test.each([
  ['character device', chardev],
  ['sysfs', sysfs],
])('the chip is pulled while its lines are ours: %s', async (_what, host) => {
  const lines = await host.open(PINS);
  const id = execFileSync('grep', ['-l', '2058', ...idFiles()])
    .toString()
    .trim();
  const device = dirname(id);
  writeFileSync(`${device}/authorized`, '0');
  await until('the chip gone', () => !execFileSync('gpiodetect').includes(label));
  const gone = {
    code: 'no-hardware',
    message: expect.stringMatching(/^the GPIO lines cannot be used any more: /),
    advice: expect.stringContaining('plug it in again'),
  };
  expect(await ours(lines.set({ nrst: 'low' }))).toMatchObject(gone);
  expect(await ours(lines.read())).toMatchObject(gone);
  await lines.close();
  expect(await ours(host.open(PINS))).toMatchObject({ code: 'no-hardware' });
  writeFileSync(`${device}/authorized`, '1');
  await until('the chip again', () => execFileSync('gpiodetect').includes(label));
});

function idFiles(): string[] {
  const root = '/sys/bus/usb/devices';
  return readdirSync(root)
    .map((name) => `${root}/${name}/idVendor`)
    .filter((path) => existsSync(path));
}
