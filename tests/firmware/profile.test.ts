// Profiles: for each board and connection the lines that the documents ask for, and addresses that fit its bootloader.
import { describe, expect, test } from '@jest/globals';
import { boardByName, boardNames, toolheadNames } from '../../src/boards/boards.ts';
import { profileByName, profilesOf } from '../../src/firmware/profile.ts';

const linesOf = (board: string, name: string, canBitrate?: number) =>
  [...profileByName(boardByName(board), name, canBitrate).wanted].map(
    ([symbol, value]) => `${symbol}=${value}`,
  );

const MAINBOARD = [
  ...['klipper-usb', 'klipper-usb-bare', 'katapult-usb', 'katapult-deployer-usb'],
  ...['klipper-bridge', 'klipper-bridge-bare'],
  ...['klipper-can', 'klipper-can-bare', 'katapult-can', 'katapult-deployer-can'],
];
const TOOLHEAD = ['klipper-can', 'klipper-can-bare', 'katapult-can', 'katapult-deployer-can'];

test.each(boardNames())('%s: all that a mainboard may have', (name) => {
  expect(profilesOf(boardByName(name)).map((one) => one.name)).toEqual(MAINBOARD);
});

test.each(toolheadNames())('%s: a toolhead talks CAN, or nobody knows how to build for it', (name) => {
  const board = boardByName(name);
  expect(profilesOf(board).map((one) => one.name)).toEqual(board.kconfig === undefined ? [] : TOOLHEAD);
});

// facts klipper-katapult-dfu.md, section 1: the table and the fragments.
describe('the lines of the documents', () => {
  test.each<[string, string, readonly string[]]>([
    [
      'octopus-v1.1-f446',
      'klipper-bridge',
      [
        ...['LOW_LEVEL_OPTIONS=y', 'MACH_STM32=y', 'MACH_STM32F446=y', 'STM32_CLOCK_REF_12M=y'],
        ...['STM32_FLASH_START_8000=y', 'STM32_USBCANBUS_PA11_PA12=y', 'STM32_CMENU_CANBUS_PD0_PD1=y'],
        'CANBUS_FREQUENCY=1000000',
      ],
    ],
    [
      'octopus-pro-h723',
      'klipper-usb-bare',
      [
        ...['LOW_LEVEL_OPTIONS=y', 'MACH_STM32=y', 'MACH_STM32H723=y', 'STM32_CLOCK_REF_25M=y'],
        ...['STM32_FLASH_START_0000=y', 'STM32_USB_PA11_PA12=y'],
      ],
    ],
    [
      'octopus-pro-f429',
      'katapult-can',
      [
        ...['MACH_STM32=y', 'MACH_STM32F429=y', 'STM32_CLOCK_REF_8M=y', 'STM32_FLASH_START_0000=y'],
        ...['STM32_APP_START_8000=y', 'STM32_MMENU_CANBUS_PD0_PD1=y', 'CANBUS_FREQUENCY=1000000'],
        'ENABLE_DOUBLE_RESET=y',
      ],
    ],
    [
      'octopus-pro-h723',
      'katapult-deployer-usb',
      [
        ...['MACH_STM32=y', 'MACH_STM32H723=y', 'STM32_CLOCK_REF_25M=y', 'STM32_FLASH_START_20000=y'],
        ...['STM32_APP_START_20000=y', 'STM32_USB_PA11_PA12=y', 'ENABLE_DOUBLE_RESET=y'],
      ],
    ],
    [
      'btt-ebb36-v1.2',
      'klipper-can',
      [
        ...['LOW_LEVEL_OPTIONS=y', 'MACH_STM32=y', 'MACH_STM32G0B1=y', 'STM32_CLOCK_REF_8M=y'],
        ...['STM32_FLASH_START_2000=y', 'STM32_MMENU_CANBUS_PB0_PB1=y', 'CANBUS_FREQUENCY=1000000'],
      ],
    ],
    [
      'btt-sb2209-rp2040',
      'katapult-can',
      [
        ...['MACH_RPXXXX=y', 'MACH_RP2040=y', 'RPXXXX_FLASH_START_0100=y', 'RPXXXX_CANBUS=y'],
        ...['RPXXXX_CANBUS_GPIO_RX=4', 'RPXXXX_CANBUS_GPIO_TX=5', 'CANBUS_FREQUENCY=1000000'],
        'ENABLE_DOUBLE_RESET=y',
      ],
    ],
  ])('%s, %s', (board, name, lines) => {
    expect(linesOf(board, name)).toEqual(lines);
  });

  test('another bitrate of the bus', () => {
    expect(linesOf('btt-ebb36-v1.2', 'katapult-can', 500_000)).toContain('CANBUS_FREQUENCY=500000');
  });
});

test.each<[string, string, object]>([
  [
    'octopus-v1.1-f407',
    'klipper-usb',
    { linkAddress: 0x0800_8000, launchAddress: null, canBitrate: null, file: 'klipper.bin', tree: 'klipper' },
  ],
  ['octopus-v1.1-f407', 'klipper-usb-bare', { linkAddress: 0x0800_0000, launchAddress: null }],
  [
    'octopus-pro-h723',
    'katapult-usb',
    { linkAddress: 0x0800_0000, launchAddress: 0x0802_0000, file: 'katapult.bin', tree: 'katapult' },
  ],
  [
    'octopus-pro-h723',
    'katapult-deployer-can',
    { linkAddress: 0x0802_0000, launchAddress: 0x0802_0000, canBitrate: 1_000_000, file: 'deployer.bin' },
  ],
  ['btt-sb2209-rp2040', 'klipper-can-bare', { linkAddress: 0x1000_0100, connection: 'can' }],
  ['btt-sb2209-rp2040', 'katapult-can', { linkAddress: 0x1000_0100, launchAddress: 0x1000_4000 }],
])('%s, %s: where it lies and what it launches', (board, name, expected) => {
  expect(profileByName(boardByName(board), name)).toMatchObject({
    board,
    name,
    mcu: boardByName(board).mcu.name,
    ...expected,
  });
});

test('a name that is none: the nearest right one', () => {
  const board = boardByName('octopus-v1.1-f446');
  expect(() => profileByName(board, 'klipper-bridg')).toThrow(
    expect.objectContaining({
      code: 'unknown-profile',
      message: 'octopus-v1.1-f446 has no profile "klipper-bridg"',
      advice: expect.stringMatching(
        /^Did you mean klipper-bridge\? There are: klipper-usb, .*, katapult-deployer-can\.$/,
      ),
    }),
  );
});

test('a board that nobody knows how to build for', () => {
  expect(() => profileByName(boardByName('mellow-fly-sht36-v3'), 'klipper-can')).toThrow(
    expect.objectContaining({ code: 'unknown-profile', advice: expect.stringMatching(/menuconfig/) }),
  );
});
