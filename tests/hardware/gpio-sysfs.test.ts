// The adapter over sysfs, with a stand-in for onoff's class: numbers, directions, and what is given back.
import { afterEach, expect, test } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SysfsGpio, type OnoffGpio, type OnoffLine } from '../../src/hardware/gpio-sysfs.ts';
import { gpioContract } from '../contract/gpio.ts';
import { errno } from './fake-gpio.ts';
import { cutTrees, fakeTree, plant } from './fake-tree.ts';

afterEach(cutTrees);

// As kernel 6.6 shows a Raspberry Pi 4: numbers begin at 512.
const PI = {
  'devices/soc/gpio/gpiochip512/label': 'pinctrl-bcm2711\n',
  'devices/soc/gpio/gpiochip512/base': '512\n',
  'devices/soc/gpio/gpiochip512/ngpio': '58\n',
  'devices/soc/gpiochip0/dev': '254:0\n',
  'devices/exp/gpio/gpiochip570/label': 'raspberrypi-exp-gpio\n',
  'devices/exp/gpio/gpiochip570/base': '570\n',
  'devices/exp/gpio/gpiochip570/ngpio': '8\n',
  'devices/exp/gpiochip1/dev': '254:1\n',
  'class/gpio/export': '',
  'class/gpio/gpiochip512': '-> ../../devices/soc/gpio/gpiochip512',
  'class/gpio/gpiochip570': '-> ../../devices/exp/gpio/gpiochip570',
  'bus/gpio/devices/gpiochip0': '-> ../../../devices/soc/gpiochip0',
  'bus/gpio/devices/gpiochip1': '-> ../../../devices/exp/gpiochip1',
};

class Wires {
  /** Directions of what is exported. */
  readonly directions = new Map<number, string>();
  readonly written: string[] = [];
  refusal: Error | undefined;

  get onoff(): OnoffGpio {
    const { directions, written } = this;
    const refuse = () => {
      if (this.refusal !== undefined) throw this.refusal;
    };
    return class implements OnoffLine {
      readonly #gpio: number;
      constructor(gpio: number, direction: 'in') {
        refuse();
        // What is exported already is adopted, as onoff does.
        this.#gpio = gpio;
        directions.set(gpio, direction);
        written.push(`${gpio} ${direction}`);
      }
      direction() {
        return directions.get(this.#gpio) === 'in' ? 'in' : 'out';
      }
      setDirection(direction: string) {
        directions.set(this.#gpio, direction);
        written.push(`${this.#gpio} ${direction}`);
      }
      readSync() {
        return directions.get(this.#gpio) === 'high' ? 1 : 0;
      }
      unexport() {
        directions.delete(this.#gpio);
        written.push(`${this.#gpio} unexport`);
      }
    };
  }

  drive(gpio: number): 'high' | 'low' | 'floating' {
    const direction = this.directions.get(gpio);
    return direction === 'high' || direction === 'low' ? direction : 'floating';
  }
}

const PINS = { boot0: 'gpio26', nrst: 'gpio19' };

gpioContract('sysfs, an imagined kernel', async () => {
  const wires = new Wires();
  return {
    host: new SysfsGpio(wires.onoff, fakeTree(PI)),
    pins: PINS,
    meter: async () => ({ boot0: wires.drive(512 + 26), nrst: wires.drive(512 + 19) }),
    dispose: async () => {},
  };
});

test('directions alone are written: in, high, low; never out', async () => {
  const wires = new Wires();
  const lines = await new SysfsGpio(wires.onoff, fakeTree(PI)).open(PINS);
  await lines.set({ boot0: 'high', nrst: 'low' });
  await lines.set({ boot0: 'floating', nrst: 'floating' });
  await lines.set({ nrst: 'low' });
  await lines.close();
  expect(wires.written).toEqual([
    '538 in',
    '531 in',
    '538 high',
    '531 low',
    '538 in',
    '531 in',
    '531 low',
    '531 in',
    '531 unexport',
    '538 in',
    '538 unexport',
  ]);
});

test.each([
  ['gpiochip1/gpio3', 573],
  ['raspberrypi-exp-gpio/3', 573],
  ['pinctrl-bcm2711/gpio5', 517],
])('%s is number %i', async (pin, number) => {
  const wires = new Wires();
  await new SysfsGpio(wires.onoff, fakeTree(PI)).open({ ...PINS, boot0: pin });
  expect([...wires.directions.keys()]).toEqual([number, 531]);
});

test('two chips of one device are told apart by their labels only', async () => {
  const twins = {
    ...PI,
    'devices/soc/gpio/gpiochip600/label': 'second\n',
    'devices/soc/gpio/gpiochip600/base': '600\n',
    'devices/soc/gpio/gpiochip600/ngpio': '4\n',
    'class/gpio/gpiochip600': '-> ../../devices/soc/gpio/gpiochip600',
  };
  const wires = new Wires();
  const host = new SysfsGpio(wires.onoff, fakeTree(twins));
  await expect(host.open({ ...PINS, boot0: 'gpiochip0/gpio1' })).rejects.toMatchObject({
    code: 'no-hardware',
  });
  await host.open({ ...PINS, boot0: 'second/gpio1' });
  expect(wires.directions.has(601)).toBe(true);
});

test.each([
  ['EACCES', 'no-hardware', 'permission denied'],
  ['EBUSY', 'busy', 'is held by a driver or another program'],
  ['EINVAL', 'no-hardware', 'cannot be used'],
])('%s is %s: %s', async (code, ours, words) => {
  const wires = new Wires();
  wires.refusal = errno(code);
  await expect(new SysfsGpio(wires.onoff, fakeTree(PI)).open(PINS)).rejects.toMatchObject({
    code: ours,
    message: expect.stringContaining(words),
  });
});

test('a line that was exported before and cannot be set is not ours', async () => {
  const wires = new Wires();
  const Onoff = wires.onoff;
  class Stubborn extends Onoff {
    override direction() {
      return 'out';
    }
  }
  await expect(new SysfsGpio(Stubborn, fakeTree(PI)).open(PINS)).rejects.toMatchObject({
    code: 'no-hardware',
  });
  expect(wires.directions.size).toBe(0);
});

test('what onoff has exported before it failed is given back; what others have exported is not', async () => {
  const place = 'class/gpio/gpio538/direction';
  for (const isForeign of [false, true]) {
    const root = fakeTree({ ...PI, ...(isForeign ? { [place]: 'out\n' } : {}) });
    class Broken extends new Wires().onoff {
      constructor(gpio: number, direction: 'in', options: { readonly activeLow: boolean }) {
        super(gpio, direction, options);
        plant(root, { [place]: 'in\n' });
        throw errno('EREMOTEIO');
      }
    }
    await expect(new SysfsGpio(Broken, root).open(PINS)).rejects.toMatchObject({ code: 'no-hardware' });
    const unexport = join(root, 'class/gpio/unexport');
    expect(existsSync(unexport) ? readFileSync(unexport, 'utf8') : '').toBe(isForeign ? '' : '538');
  }
});

test('without the package: what is missing, and how to get it', async () => {
  const host = new SysfsGpio('the package onoff does not load (x)', fakeTree(PI));
  await expect(host.open(PINS)).rejects.toMatchObject({
    code: 'no-hardware',
    message: 'the package onoff does not load (x), and this host has GPIO lines in sysfs only',
    advice: expect.stringContaining('bin/rebuild-native'),
  });
});

test('sysfs without a chip', async () => {
  await expect(new SysfsGpio('x', fakeTree({ 'class/gpio/export': '' })).open(PINS)).rejects.toMatchObject({
    code: 'no-hardware',
    message: expect.stringContaining('this host has no GPIO lines: looked for'),
  });
});
