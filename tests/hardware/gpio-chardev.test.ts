// The adapter over the character device: what it asks of the kernel, in every state, and what it says when refused.
import { afterEach, expect, test } from '@jest/globals';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { CharacterDeviceGpio } from '../../src/hardware/gpio-chardev.ts';
import { hardwareGpio } from '../../src/hardware/gpio.ts';
import { gpioContract } from '../contract/gpio.ts';
import { FakeGpio } from './fake-gpio.ts';
import { cutTrees, fakeTree } from './fake-tree.ts';

afterEach(cutTrees);

const PINS = { boot0: 'gpio26', nrst: 'gpio19' };

gpioContract('character device, an imagined kernel', async () => {
  const kernel = new FakeGpio();
  const host = new CharacterDeviceGpio(kernel.libc, kernel.dev);
  return {
    host: {
      open: async (pins) => {
        const lines = await host.open(pins);
        return {
          set: (levels) => lines.set(levels),
          read: () => lines.read(),
          close: async () => {
            await lines.close();
            kernel.release();
          },
        };
      },
    },
    pins: PINS,
    meter: async () => ({ boot0: kernel.drive(26), nrst: kernel.drive(19) }),
    dispose: async () => {},
  };
});

test('driven by somebody who died: the request itself floats the lines', async () => {
  const kernel = new FakeGpio();
  Object.assign(kernel.lines[19] ?? {}, { flags: 8n | 0x40n, value: 0 });
  const lines = await new CharacterDeviceGpio(kernel.libc, kernel.dev).open(PINS);
  expect([kernel.drive(26), kernel.drive(19)]).toEqual(['floating', 'floating']);
  expect(kernel.lines[19]).toMatchObject({ consumer: 'octopus-flasher', flags: 4n | 0x400n });
  expect(kernel.lines[26]).toMatchObject({ consumer: 'octopus-flasher', flags: 4n | 0x200n });
  await lines.close();
});

test('closed while they are driven, they float first', async () => {
  const kernel = new FakeGpio();
  const lines = await new CharacterDeviceGpio(kernel.libc, kernel.dev).open(PINS);
  await lines.set({ boot0: 'high', nrst: 'low' });
  await lines.close();
  expect([kernel.drive(26), kernel.drive(19)]).toEqual(['floating', 'floating']);
});

test('who holds a line is named', async () => {
  const kernel = new FakeGpio();
  Object.assign(kernel.lines[19] ?? {}, { consumer: 'klipper_mcu' });
  await expect(new CharacterDeviceGpio(kernel.libc, kernel.dev).open(PINS)).rejects.toMatchObject({
    code: 'busy',
    place: 'gpiochip0/19',
    message: 'gpiochip0 (pinctrl-bcm2711) line 19 is held by "klipper_mcu"',
  });
});

test('a chip that is pulled out is an error of the lines, and closes all the same', async () => {
  const kernel = new FakeGpio();
  const lines = await new CharacterDeviceGpio(kernel.libc, kernel.dev).open(PINS);
  kernel.fault = 'ENODEV';
  await expect(lines.set({ boot0: 'high' })).rejects.toMatchObject({ code: 'no-hardware' });
  kernel.fault = 'ENODEV';
  await lines.close();
});

test('by the name of a line', async () => {
  const kernel = new FakeGpio();
  const lines = await new CharacterDeviceGpio(kernel.libc, kernel.dev).open({
    boot0: 'GPIO26',
    nrst: 'gpiochip0/gpio19',
  });
  await lines.set({ boot0: 'high' });
  expect(kernel.drive(26)).toBe('high');
  await lines.close();
});

test('neither devices nor sysfs: no-hardware, and where it was looked for', async () => {
  const root = fakeTree({ 'dev/null': '' });
  await expect(
    hardwareGpio({ dev: join(root, 'dev'), sys: join(root, 'sys') }).open(PINS),
  ).rejects.toMatchObject({
    code: 'no-hardware',
    message: `this host has no GPIO lines: looked for ${root}/dev/gpiochip* and ${root}/sys/class/gpio`,
  });
});

test('a device that is no chip is told as such', async () => {
  const kernel = new FakeGpio();
  rmSync(join(kernel.dev, 'gpiochip0'));
  const root = fakeTree({ 'dev/gpiochip0': '' });
  const real = hardwareGpio({ dev: join(root, 'dev'), sys: join(root, 'sys') });
  await expect(real.open(PINS)).rejects.toMatchObject({
    code: 'no-hardware',
    message: expect.stringContaining('gpiochip0 cannot be opened: ENOTTY'),
  });
});
