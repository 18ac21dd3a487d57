// The kernel's CAN frames in bytes. Sizes, offsets and numbers: what gcc 12 makes of /usr/include/linux/can.h,
// can/raw.h and can/error.h (linux-libc-dev 6.1.192-2); the frames are written by hand after those headers.
import { expect, test } from '@jest/globals';
import * as uapi from '../../src/hardware/can-uapi.ts';

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
const hex = (data: Uint8Array) => Buffer.from(data).toString('hex');

test('the numbers', () => {
  expect({ ...uapi }).toMatchObject({
    AF_CAN: 0x1d,
    SOCK_RAW_NONBLOCK: 0x3 | 0x80000 | 0x800,
    CAN_RAW: 1,
    SOL_CAN_RAW: 0x65,
    CAN_RAW_FILTER: 1,
    CAN_RAW_ERR_FILTER: 2,
    SOL_SOCKET: 1,
    SO_RCVBUF: 8,
    SO_RCVBUFFORCE: 0x21,
    ARPHRD_CAN: 0x118,
  });
});

test('struct sockaddr_can: 24 bytes, the index at 4', () => {
  expect(hex(uapi.encodeAddress(0x01020304))).toBe(`1d00000004030201${'00'.repeat(16)}`);
});

test('struct can_filter lets in data frames with 11 bits and nothing else', () => {
  expect(hex(uapi.encodeFilter())).toBe('00000000000000c0');
  expect(hex(uapi.encodeErrorFilter())).toBe('ec000000');
});

test('struct can_frame: 16 bytes, length at 4, data at 8', () => {
  const frame = { id: 0x3f0, data: Uint8Array.of(1, 2, 3) };
  expect(hex(uapi.encodeFrame(frame))).toBe('f0030000030000000102030000000000');
  expect(uapi.decodeFrame(uapi.encodeFrame(frame))).toEqual(frame);
  expect(uapi.decodeFrame(bytes('ff070000 08000000 0102030405060708'))).toEqual({
    id: 0x7ff,
    data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  });
});

test.each([
  ['29 bits', '01000080 01000000 ff00000000000000'],
  ['a remote request', '01000040 01000000 0000000000000000'],
])('%s is no frame of ours', (_what, raw) => {
  expect(uapi.decodeFrame(bytes(raw))).toBeUndefined();
});

test.each([
  ['40000020 08000000 0000000000000000', 'bus-off'],
  ['20000020 08000000 0000000000000000', 'no-acknowledge'],
  // sja1000: bus error in the acknowledge slot (drivers/net/can/sja1000/sja1000.c)
  ['88000020 08000000 0000001900000000', 'no-acknowledge'],
  ['88000020 08000000 0000040800000000', 'disturbed'],
  ['04000020 08000000 0020000000000000', 'disturbed'],
  ['04000020 08000000 0008000000000000', 'disturbed'],
  // Back to error active; a buffer that ran over; the controller was restarted; arbitration was lost.
  ['04000020 08000000 0040000000000000', undefined],
  ['04000020 08000000 0001000000000000', undefined],
  ['00010020 08000000 0000000000000000', undefined],
  ['02000020 08000000 0000000000000000', undefined],
])('error frame %s: %s', (raw, trouble) => {
  expect(uapi.decodeFrame(bytes(raw))).toBe(trouble);
});
