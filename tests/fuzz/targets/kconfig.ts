// Fuzz: a .config. make includes it, so whatever is taken holds nothing that make or a shell would act on, and is read again as
// it was.
import { readKconfig, writeKconfig } from '../../../src/firmware/kconfig.ts';
import { mutateText } from '../text.ts';
import { holds, refusalCode, target, type Fate } from '../target.ts';

const REAL = `#
# Automatically generated file; DO NOT EDIT.
#
CONFIG_LOW_LEVEL_OPTIONS=y
# CONFIG_MACH_AVR is not set
CONFIG_MACH_STM32=y
CONFIG_MCU="stm32f446xx"
CONFIG_CLOCK_FREQ=180000000
CONFIG_FLASH_APPLICATION_ADDRESS=0x8008000
CONFIG_MACH_STM32F4x5=y
CONFIG_INITIAL_PINS="!PA1,PB2"
`;
const WORDS = [
  '$(shell id)',
  '${X}',
  '`id`',
  ';id',
  '\\',
  '"',
  "'",
  '#',
  '&',
  '|',
  'CONFIG_',
  '=',
  'is not set',
  '\r',
  '\0',
];

export const kconfig = target<string>({
  name: 'kconfig',
  show: (text) => Buffer.from(text),
  input: (random) => mutateText(random, REAL, WORDS),
  check: (text): Fate => {
    try {
      const values = readKconfig(text);
      for (const [symbol, value] of values) {
        holds(!/[$`;&|<>\\'#\n\r\0(){}*?~]/.test(value), `CONFIG_${symbol} has the value ${value}`);
        holds((value.match(/"/g) ?? []).length % 2 === 0, `an open quote: ${value}`);
      }
      const again = readKconfig(writeKconfig(values));
      holds(JSON.stringify([...again]) === JSON.stringify([...values]), 'it is read as another one');
      return 'taken';
    } catch (error) {
      return refusalCode(error, ['bad-config']);
    }
  },
  fates: ['taken', 'bad-config'],
});
