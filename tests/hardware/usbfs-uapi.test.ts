// The kernel's usbfs in bytes. Numbers and offsets: what gcc 12 makes of /usr/include/linux/usbdevice_fs.h
// (linux-libc-dev 6.1.192-2) with sizeof and offsetof, on x86-64 and with -m32.
import { expect, test } from '@jest/globals';
import * as uapi from '../../src/hardware/usbfs-uapi.ts';

test('the ioctl numbers that no pointer changes', () => {
  expect({ ...uapi }).toMatchObject({
    SET_INTERFACE: 0x80085504,
    DISCARD_URB: 0x550b,
    CLAIM_INTERFACE: 0x8004550f,
    RELEASE_INTERFACE: 0x80045510,
    // /usr/include/asm-generic/errno-base.h and errno.h
    ERRNO: { ENOENT: 2, EAGAIN: 11, ENODEV: 19, EPIPE: 32, ECONNRESET: 104, ESHUTDOWN: 108 },
  });
});

test.each([
  { pointer: 8, size: 56, submit: 0x8038550a, reap: 0x4008550d, buffer: 16, length: 24, actual: 28 },
  { pointer: 4, size: 44, submit: 0x802c550a, reap: 0x4004550d, buffer: 12, length: 16, actual: 20 },
])('pointers of $pointer bytes', ({ pointer, size, submit, reap, buffer, length, actual }) => {
  const format = new uapi.UrbFormat(pointer);
  expect(format).toMatchObject({ submit, reap, setupAt: size, dataAt: size + 8 });

  const memory = Buffer.alloc(size + 8 + 16, 0xaa);
  const address = pointer === 8 ? 0x7fff_1234_5678n : 0xfff1_2340n;
  format.encode(memory, address, {
    requestType: 0xa1,
    request: 3,
    value: 0x1234,
    index: 0x5678,
    length: 0x0806,
  });
  const expected = Buffer.alloc(size + 8);
  expected[0] = 2; // USBDEVFS_URB_TYPE_CONTROL, on endpoint 0
  if (pointer === 8) expected.writeBigUInt64LE(address + 56n, buffer);
  else expected.writeUInt32LE(Number(address) + 44, buffer);
  expected.writeInt32LE(8 + 0x0806, length);
  expected.set([0xa1, 3, 0x34, 0x12, 0x78, 0x56, 0x06, 0x08], size);
  expect(memory.subarray(0, size + 8).toString('hex')).toBe(expected.toString('hex'));
  expect(memory.subarray(size + 8).every((byte) => byte === 0xaa)).toBe(true);

  memory.writeInt32LE(-32, 4);
  memory.writeInt32LE(6, actual);
  expect(format.decode(memory)).toEqual({ status: 32, actualLength: 6 });

  const answer = format.newAddress();
  expect(answer).toHaveLength(pointer);
  if (pointer === 8) Buffer.from(answer.buffer).writeBigUInt64LE(address);
  else Buffer.from(answer.buffer).writeUInt32LE(Number(address));
  expect(format.addressIn(answer)).toBe(address);
});

test('which interface, and which alternate setting of it', () => {
  expect([...uapi.encodeInterface(0x0102)]).toEqual([2, 1, 0, 0]);
  const memory = Buffer.alloc(uapi.SET_INTERFACE_BYTES);
  expect(memory).toHaveLength(8);
  uapi.encodeSetInterface(memory, 3, 4);
  expect([...memory]).toEqual([3, 0, 0, 0, 4, 0, 0, 0]);
});
