// Which line of which chip a pin is: Klipper's syntax, on hosts as they are.
import { expect, test } from '@jest/globals';
import { findLine, type Chip } from '../../src/hardware/gpio-pins.ts';

const chip = (name: string, label: string, lines: number, names: Record<number, string> = {}): Chip => ({
  name,
  label,
  lines,
  lineNames: () => Array.from({ length: lines }, (_, line) => names[line] ?? ''),
});
const PI4 = [
  chip('gpiochip0', 'pinctrl-bcm2711', 58, { 19: 'GPIO19', 26: 'GPIO26' }),
  chip('gpiochip1', 'raspberrypi-exp-gpio', 8, { 0: 'BT_ON' }),
];
// A Raspberry Pi 5 as kernels before 6.6.47 number it, where the header was chip 4.
const PI5 = [
  chip('gpiochip0', 'gpio-brcmstb@107d508500', 32),
  chip('gpiochip4', 'pinctrl-rp1', 54, { 26: 'GPIO26' }),
];
const TWINS = [chip('gpiochip0', 'a', 16), chip('gpiochip1', 'b', 16), chip('gpiochip2', 'b', 16)];
const ONE = [chip('gpiochip0', '300b000.pinctrl', 288, { 3: 'BOOT0', 4: 'BOOT0' })];

const found = (pin: string, chips: readonly Chip[]) => {
  const place = findLine(pin, chips);
  return `${place.chip.name}:${place.line}`;
};

test.each([
  ['gpio26', PI4, 'gpiochip0:26'],
  ['GPIO26', PI4, 'gpiochip0:26'],
  ['gpio26', PI5, 'gpiochip4:26'],
  ['gpio26', ONE, 'gpiochip0:26'],
  ['gpiochip1/gpio7', PI4, 'gpiochip1:7'],
  ['gpiochip1/7', PI4, 'gpiochip1:7'],
  ['gpiochip4/gpio26', PI5, 'gpiochip4:26'],
  ['pinctrl-rp1/gpio26', PI5, 'gpiochip4:26'],
  ['pinctrl-bcm2711/26', PI4, 'gpiochip0:26'],
  ['BT_ON', PI4, 'gpiochip1:0'],
  ['gpiochip1/BT_ON', PI4, 'gpiochip1:0'],
  ['a/gpio15', TWINS, 'gpiochip0:15'],
  ['gpiochip2/gpio0', TWINS, 'gpiochip2:0'],
])('%s', (pin, chips, place) => {
  expect(found(pin, chips)).toBe(place);
});

test('a link is another name of a chip', () => {
  const renumbered = [{ ...chip('gpiochip0', 'pinctrl-rp1', 54), aliases: ['gpiochip4'] }];
  expect(found('gpiochip4/gpio26', renumbered)).toBe('gpiochip0:26');
});

test.each([
  ['gpio26', TWINS, "no chip is known to be that of this computer's header"],
  ['gpio58', PI4, 'gpiochip0 (pinctrl-bcm2711) has lines 0 to 57'],
  ['gpiochip9/gpio1', PI4, 'there is no chip gpiochip9'],
  ['b/gpio1', TWINS, '2 chips are called b'],
  [
    'BOOT0',
    ONE,
    '2 lines are called BOOT0: gpiochip0 (300b000.pinctrl) line 3, gpiochip0 (300b000.pinctrl) line 4',
  ],
  ['gpiochip0/BT_ON', PI4, 'no line is called BT_ON'],
  ['', PI4, 'this is no pin'],
  ['gpiochip0/', PI4, 'this is no pin'],
  ['a/b/c', PI4, 'this is no pin'],
])('%s is refused: %s', (pin, chips, why) => {
  expect(() => findLine(pin, chips)).toThrow(
    expect.objectContaining({
      code: 'no-hardware',
      place: pin,
      message: expect.stringContaining(why),
      advice: expect.stringContaining('There is: '),
    }),
  );
});

test('what there is stands in the advice', () => {
  expect(() => findLine('gpio1', [])).toThrow(
    expect.objectContaining({ advice: expect.stringContaining('There is: no chip.') }),
  );
  expect(() => findLine('NOPE', PI4)).toThrow(
    expect.objectContaining({
      advice: expect.stringContaining(
        'There is: gpiochip0 (pinctrl-bcm2711) with 58 lines, gpiochip1 (raspberrypi-exp-gpio) with 8 lines.',
      ),
    }),
  );
});
