// struct termios2 in bytes: what gcc 12 makes of /usr/include/asm-generic/termbits.h and ioctls.h
// (linux-libc-dev 6.1.192-2).
import { expect, test } from '@jest/globals';
import * as uapi from '../../src/hardware/serial-uapi.ts';

test('the ioctl numbers', () => {
  expect({ ...uapi }).toMatchObject({
    TCGETS2: 0x802c542a,
    TCSETS2: 0x402c542b,
    TCFLSH: 0x540b,
    TCIOFLUSH: 2,
    TIOCEXCL: 0x540c,
    LOCK_EXCLUSIVE_NOW: 6,
  });
});

test.each([
  [250_000, false, 0x1000_18b0],
  [1200, true, 0x1000_1cb0],
])('%i baud: raw, 8 bits, no parity; DTR falls at the end: %s', (baud, dropsDtr, control) => {
  const termios = Buffer.from(uapi.encodeTermios(baud, dropsDtr));
  expect(termios).toHaveLength(0x2c);
  const [input, output, own, local] = [0, 4, 8, 12].map((at) => termios.readUInt32LE(at));
  expect([input, output, own, local]).toEqual([0, 0, control, 0]);
  // VTIME is c_cc[5], VMIN c_cc[6]; c_cc begins at 17.
  expect([termios[17 + 5], termios[17 + 6]]).toEqual([0, 1]);
  expect([termios.readUInt32LE(0x24), termios.readUInt32LE(0x28)]).toEqual([baud, baud]);
});
