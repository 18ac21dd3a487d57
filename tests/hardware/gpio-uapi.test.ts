// The kernel's GPIO interface in bytes. Numbers and offsets: what gcc 12 makes of /usr/include/linux/gpio.h
// (linux-libc-dev 6.1.192-2, x86-64), printed by a C program with sizeof and offsetof.
import { expect, test } from '@jest/globals';
import * as uapi from '../../src/hardware/gpio-uapi.ts';

test('the ioctl numbers', () => {
  expect({ ...uapi }).toMatchObject({
    GET_CHIPINFO: 0x8044b401,
    GET_LINEINFO: 0xc100b405,
    GET_LINE: 0xc250b407,
    SET_CONFIG: 0xc110b40d,
    GET_VALUES: 0xc010b40e,
  });
});

test('the sizes of the structs, which the ioctl numbers repeat', () => {
  expect(uapi.newChipInfo()).toHaveLength(0x44);
  expect(uapi.newLineInfo(0)).toHaveLength(0x100);
  expect(uapi.newValues(2)).toHaveLength(0x10);
  expect(uapi.encodeConfig([])).toHaveLength(0x110);
  expect(uapi.encodeRequest([], '', [])).toHaveLength(0x250);
});

const u64 = (bytes: Uint8Array, at: number) => Buffer.from(bytes).readBigUInt64LE(at);
const u32 = (bytes: Uint8Array, at: number) => Buffer.from(bytes).readUInt32LE(at);
/** struct gpio_v2_line_config_attribute: id at 0, flags or values at 8, mask at 16; they begin at 32. */
const attributes = (config: Uint8Array) =>
  Array.from({ length: u32(config, 8) }, (_, index) => {
    const at = 32 + index * 24;
    return { id: u32(config, at), value: u64(config, at + 8), mask: u64(config, at + 16) };
  });
const [INPUT, OUTPUT, OPEN_DRAIN, OPEN_SOURCE, PULL_DOWN, NO_BIAS] = [4n, 8n, 0x40n, 0x80n, 0x200n, 0x400n];

test.each([
  ['floating', 'floating', INPUT | PULL_DOWN, INPUT | NO_BIAS, 0n],
  ['high', 'floating', OUTPUT | OPEN_SOURCE, INPUT | NO_BIAS, 1n],
  ['floating', 'low', INPUT | PULL_DOWN, OUTPUT | OPEN_DRAIN, 0n],
  ['high', 'low', OUTPUT | OPEN_SOURCE, OUTPUT | OPEN_DRAIN, 1n],
] as const)('BOOT0 %s, reset %s', (boot0, nrst, boot0Flags, nrstFlags, levels) => {
  const config = uapi.encodeConfig([
    { role: 'boot0', state: boot0 },
    { role: 'nrst', state: nrst },
  ]);
  expect(attributes(config)).toEqual([
    { id: 1, value: boot0Flags, mask: 1n },
    { id: 1, value: nrstFlags, mask: 2n },
    { id: 2, value: levels, mask: 3n },
  ]);
  // Nothing in the padding: the kernel refuses what it does not know.
  expect(config.subarray(12, 32).every((byte) => byte === 0)).toBe(true);
  expect(config.subarray(32 + 3 * 24).every((byte) => byte === 0)).toBe(true);
});

test("the order of the lines is the caller's", () => {
  const [first, second, third] = attributes(
    uapi.encodeConfig([
      { role: 'nrst', state: 'low' },
      { role: 'boot0', state: 'high' },
    ]),
  );
  expect(first).toEqual({ id: 1, value: OUTPUT | OPEN_DRAIN, mask: 1n });
  expect(second).toEqual({ id: 1, value: OUTPUT | OPEN_SOURCE, mask: 2n });
  expect(third).toEqual({ id: 2, value: 2n, mask: 3n });
});

test('a request: offsets at 0, consumer at 256, config at 288, count at 560, descriptor at 588', () => {
  const lines = [
    { role: 'boot0', state: 'floating' },
    { role: 'nrst', state: 'floating' },
  ] as const;
  const request = uapi.encodeRequest([26, 19], 'octopus-flasher', lines);
  expect([u32(request, 0), u32(request, 4), u32(request, 8)]).toEqual([26, 19, 0]);
  expect(Buffer.from(request.subarray(256, 288)).toString('latin1')).toBe(
    `octopus-flasher${'\0'.repeat(17)}`,
  );
  expect(request.slice(288, 560)).toEqual(uapi.encodeConfig(lines));
  expect(u32(request, 560)).toBe(2);
  Buffer.from(request.buffer).writeInt32LE(77, 588);
  expect(uapi.requestedFd(request)).toBe(77);
});

test('a name of 40 letters is cut, and ends with a zero', () => {
  const request = uapi.encodeRequest([1], 'x'.repeat(40), [{ role: 'boot0', state: 'floating' }]);
  expect([request[286], request[287]]).toEqual([0x78, 0]);
});

test('what the kernel fills in: label at 32 and lines at 64; consumer at 32, offset at 64, flags at 72', () => {
  const chip = Buffer.alloc(0x44);
  chip.write('gpiochip0', 0);
  chip.write('pinctrl-bcm2711', 32);
  chip.writeUInt32LE(58, 64);
  expect(uapi.decodeChipInfo(chip)).toEqual({ label: 'pinctrl-bcm2711', lines: 58 });
  const line = Buffer.from(uapi.newLineInfo(19));
  expect(line.readUInt32LE(64)).toBe(19);
  line.write('GPIO19', 0);
  line.write('x'.repeat(32), 32);
  line.writeBigUInt64LE(1n | 8n | 0x40n, 72);
  expect(uapi.decodeLineInfo(line)).toEqual({
    name: 'GPIO19',
    consumer: 'x'.repeat(32),
    isUsed: true,
    isOutput: true,
  });
});

test('levels: bits at 0, mask at 8', () => {
  const values = uapi.newValues(2);
  expect([u64(values, 0), u64(values, 8)]).toEqual([0n, 3n]);
  values[0] = 2;
  expect([uapi.valueAt(values, 0), uapi.valueAt(values, 1)]).toEqual(['low', 'high']);
});
