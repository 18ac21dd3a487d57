// Kconfig's files: read, compared, and never with anything in them that make or a shell would act on.
import { describe, expect, test } from '@jest/globals';
import { lossesOf, readKconfig, refuseLosses, writeKconfig } from '../../src/firmware/kconfig.ts';

/** Of what Klipper v0.13.0-730's olddefconfig makes for an F446 as a bridge, 12 MHz, behind 32 KiB. */
const EXPANDED = `#
# Automatically generated file; DO NOT EDIT.
# Klipper Firmware Configuration
#
CONFIG_LOW_LEVEL_OPTIONS=y
# CONFIG_MACH_AVR is not set
CONFIG_MACH_STM32=y
CONFIG_BOARD_DIRECTORY="stm32"
CONFIG_MCU="stm32f446xx"
CONFIG_CLOCK_FREQ=180000000
CONFIG_FLASH_APPLICATION_ADDRESS=0x8008000
# CONFIG_MACH_STM32F407 is not set
CONFIG_MACH_STM32F446=y
CONFIG_MACH_STM32F4x5=y
CONFIG_STM32_FLASH_START_8000=y
# CONFIG_STM32_FLASH_START_0000 is not set
# CONFIG_STM32_CLOCK_REF_8M is not set
CONFIG_STM32_CLOCK_REF_12M=y
CONFIG_STM32_USBCANBUS_PA11_PA12=y
CONFIG_STM32_CMENU_CANBUS_PD0_PD1=y
CONFIG_USB_SERIAL_NUMBER="12345"
CONFIG_CANBUS_FREQUENCY=1000000
CONFIG_INITIAL_PINS=""
`;
const result = readKconfig(EXPANDED);
const wanted = (...lines: readonly string[]) => readKconfig(lines.map((line) => `CONFIG_${line}\n`).join(''));

test('what the tree has made of it is read', () => {
  expect(result.get('MCU')).toBe('"stm32f446xx"');
  expect(result.get('MACH_STM32F446')).toBe('y');
  expect(result.get('STM32_CLOCK_REF_8M')).toBe('n');
  expect(result.get('FLASH_APPLICATION_ADDRESS')).toBe('0x8008000');
  expect(result.size).toBe(19);
});

test('written and read again it is the same', () => {
  expect([...readKconfig(writeKconfig(result))]).toEqual([...result]);
});

describe('what was wanted and is not so', () => {
  test('nothing, where all of it is there; a number is the same number however it is written', () => {
    const all = wanted('MACH_STM32F446=y', 'STM32_CLOCK_REF_8M=n', 'CLOCK_FREQ=0xaba9500', 'WANT_NOBODY=n');
    expect(lossesOf(all, result)).toEqual([]);
    expect(() => refuseLosses(all, result, 'Klipper')).not.toThrow();
  });

  test.each([
    [
      'misspelt',
      'STM32_CLOCK_REF_12=y',
      { found: undefined, meant: 'STM32_CLOCK_REF_12M' },
      /did you mean CONFIG_STM32_CLOCK_REF_12M/,
    ],
    [
      'dropped',
      'STM32_MMENU_CANBUS_PD0_PD1=y',
      { found: undefined },
      /CONFIG_STM32_MMENU_CANBUS_PD0_PD1=y is not there/,
    ],
    ['forbidden by another', 'STM32_FLASH_START_0000=y', { found: 'n' }, /became n/],
    ['changed', 'CANBUS_FREQUENCY=500000', { found: '1000000' }, /became 1000000/],
  ])('%s', (_name, line, loss, told) => {
    const one = wanted('MACH_STM32F446=y', line);
    const [symbol, value] = line.split('=');
    expect(lossesOf(one, result)).toMatchObject([{ symbol, wanted: value, ...loss }]);
    expect(() => refuseLosses(one, result, 'Klipper v0.13.0')).toThrow(
      expect.objectContaining({
        code: 'config-dropped',
        message: expect.stringMatching(told),
        place: `CONFIG_${symbol}`,
        advice: expect.stringMatching(/update the tree/),
      }),
    );
  });
});

test.each([
  ['a function of make', 'CONFIG_MCU="$(shell touch /tmp/x)"'],
  ['a variable of make', 'CONFIG_CLOCK_FREQ=$(X)'],
  ['a command of the shell', 'CONFIG_MCU="a`id`"'],
  ['the end of a command', 'CONFIG_MCU="a;id"'],
  ['a quote in a text', String.raw`CONFIG_MCU="a\"b"`],
  ['a line that goes on', 'CONFIG_MCU="a"\\'],
  ['a comment behind it', 'CONFIG_CLOCK_FREQ=1 # fast'],
  ['no value', 'CONFIG_CLOCK_FREQ='],
  ['no symbol of ours', 'SHELL=/bin/sh'],
  ['a rule of make', 'all: ; id'],
  ['an include', 'include /etc/passwd'],
  ['twice', 'CONFIG_MACH_STM32=n'],
])('refused with its line: %s', (_name, line) => {
  expect(() => readKconfig(`# mine\nCONFIG_MACH_STM32=y\n${line}\n`, 'my.config')).toThrow(
    expect.objectContaining({
      code: 'bad-config',
      place: 'my.config:3',
      advice: expect.stringMatching(/CONFIG_NAME=y/),
    }),
  );
});
