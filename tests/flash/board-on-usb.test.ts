// Which device on USB is this board: by its port, by its owner's word, or as the only one of its chip; never by chance.
import { describe, expect, test } from '@jest/globals';
import { boardByName } from '../../src/boards/boards.ts';
import { boardOnUsb } from '../../src/flash/board-on-usb.ts';
import type { BoardPlace } from '../../src/flash/place.ts';
import type { UsbDeviceInfo } from '../../src/ports/usb.ts';

const place: BoardPlace = {
  board: boardByName('octopus-v1.1-f446'),
  pins: undefined,
  heaters: { kind: 'unknown' },
};
const NEVER_SEEN = { busPath: undefined };

/** Klipper on its own USB port (Klipper, src/generic/usb_cdc.c: 1d50:614e, the product string is the MCU's name). */
function klipper(busPath: string, serial: string, product = 'stm32f446xx'): UsbDeviceInfo {
  return {
    busPath,
    deviceNumber: 7,
    vendorId: 0x1d50,
    productId: 0x614e,
    bcdDevice: 0x0100,
    product,
    serial,
  };
}
const one = klipper('1-1', '1A0041000E50');
const other = klipper('1-2', '2B0041000E50');
const h723 = klipper('1-3', '3C0041000E50', 'stm32h723xx');

describe('nothing is known but the chip', () => {
  test('the only one of its chip', () => {
    expect(boardOnUsb([h723, one], place, NEVER_SEEN)).toBe(one);
  });

  test('of two of its chip none', () => {
    expect(boardOnUsb([one, other, h723], place, NEVER_SEEN)).toBeUndefined();
  });

  test('another chip is not it', () => {
    expect(boardOnUsb([h723], place, NEVER_SEEN)).toBeUndefined();
  });
});

test('of two the one that its owner names', () => {
  const serial = '/dev/serial/by-id/usb-Klipper_stm32f446xx_2B0041000E50-if00';
  expect(boardOnUsb([one, other], { ...place, serial }, NEVER_SEEN)).toBe(other);
});

test('of two the one at the port where it was proven to be, whatever its owner says of ports', () => {
  expect(boardOnUsb([one, other], { ...place, busPath: '1-1' }, { busPath: '1-2' })).toBe(other);
  expect(boardOnUsb([one, other], { ...place, busPath: '1-1' }, NEVER_SEEN)).toBe(one);
  expect(boardOnUsb([one, other], place, { busPath: '1-9' })).toBeUndefined();
});
