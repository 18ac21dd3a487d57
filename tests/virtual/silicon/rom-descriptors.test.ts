// Vectors from real-silicon.json and real-silicon.md section 5, quoted beside each.
import { describe, expect, test } from '@jest/globals';
import { uidSerial } from '../../../src/virtual/silicon/rom-descriptors.ts';
import { hex, rig, unhex } from './rig.ts';

const words = (...values: number[]): Uint8Array => {
  const view = new DataView(new ArrayBuffer(12));
  values.forEach((value, i) => view.setUint32(i * 4, value, true));
  return new Uint8Array(view.buffer);
};

const f407Map = (claimsLargestFlash: boolean): string | undefined =>
  rig('stm32f407xx', { settings: { claimsLargestFlash } }).rom.strings.get(4);

describe('descriptors', () => {
  test('F4: device and configuration as dfu-util device-logs@fdc72a8 shows them', async () => {
    const { dfu, rom } = rig('stm32f446xx');
    expect(await dfu.descriptor(1, 0)).toBe('1201000100000040830411df002201020301');
    expect(hex(rom.deviceDescriptor)).toBe('1201000100000040830411df002201020301');
    const configuration = await dfu.descriptor(2, 0);
    expect(configuration.length / 2).toBe(54);
    expect(configuration.slice(0, 18)).toBe('09023600010100c032');
    // "09 21 0b ff 00 00 08 1a 01", once, after the last alt
    expect(configuration.endsWith('0904000300fe01020709210bff0000081a01')).toBe(true);
    expect(configuration.split('0921').length - 1).toBe(1);
    expect(await dfu.descriptor(2, 0, 9)).toBe('09023600010100c032');
  });

  test('H7: device and configuration as the CubeProgrammer dump shows them (0D53W00000HM7kF)', async () => {
    const { dfu } = rig('stm32h723xx');
    expect(await dfu.descriptor(1, 0)).toBe('1201000200000040830411df000201020301');
    const configuration = await dfu.descriptor(2, 0);
    expect(configuration.length / 2).toBe(36);
    expect(configuration.slice(0, 36)).toBe('09022400010102c0320904000000fe010206');
    expect(configuration.endsWith('09210bff0000041a01')).toBe(true);
  });

  test.each([
    [
      'stm32f446xx',
      [
        'STMicroelectronics',
        'STM32  BOOTLOADER',
        'STM32FxSTM32', // TAStm32#71: 4 chips alike
        '@Internal Flash  /0x08000000/04*016Kg,01*064Kg,03*128Kg',
        '@Option Bytes  /0x1FFFC000/01*016 e',
        '@OTP Memory /0x1FFF7800/01*512 e,01*016 e',
        '@Device Feature/0xFFFF0000/01*004 e',
      ],
    ],
    [
      'stm32h723xx',
      [
        'STMicroelectronics',
        'DFU in FS Mode',
        '205731594E53', // 0x0027000B + 0x2030314E, 0x4E53: no real pair is known
        // ids 38006345333, 37815232886; a ZE has half of it
        '@Internal Flash   /0x08000000/8*128Kg',
        '@Option Bytes   /0x5200201C/01*88 e',
      ],
    ],
  ] as const)('%s: strings', (name, texts) => {
    const { rom } = rig(name);
    expect([...rom.strings.values()]).toEqual([...texts]);
  });

  test('F429 1 MB: string 4 says 166 bytes and sends 112 (OCTOPUS-Pro#3)', async () => {
    const { dfu, rom } = rig('stm32f429xx');
    const raw = unhex(await dfu.descriptor(3, 4));
    expect([raw[0], raw[1], raw.length]).toEqual([166, 3, 112]);
    expect(rom.strings.get(4)).toBe('@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg');
  });

  test('F407ZE: the string of the 1 MB part, or its own', () => {
    expect(f407Map(true)).toMatch(/07\*128Kg$/);
    expect(f407Map(false)).toMatch(/03\*128Kg$/);
  });

  test('languages, absent strings, and descriptors nobody has', async () => {
    const { dfu } = rig('stm32f446xx');
    expect(await dfu.descriptor(3, 0)).toBe('04030904');
    expect(await dfu.descriptor(3, 9)).toBe('stall');
    expect(await dfu.descriptor(6, 0)).toBe('stall');
    expect(await dfu.descriptor(0x21, 0)).toBe('stall');
  });
});

describe('serial numbers, each pair from a real chip', () => {
  test.each([
    // qa-community 118169 (F412)
    [unhex('1F0023000951373531373736'), 0x0a, '365A375A3537'],
    // libopencm3#760
    [words(0x002d0030, 0x3334510b, 0x32313533), 0, '325E35633334'],
    // stored public file 49052369176 (G0B1)
    [unhex('2B0007000C50425539393020'), 0, '203739645542'],
  ])('%#', (uid, addend, serial) => {
    expect(uidSerial(uid, addend)).toBe(serial);
  });

  test('F429 adds 0x0A until somebody has looked, F407 does not', () => {
    const uid = words(0x002d0030, 0x3334510b, 0x32313533);
    expect(rig('stm32f429xx', { uid }).rom.strings.get(3)).toBe('325E356D3334');
    expect(rig('stm32f407xx', { uid }).rom.strings.get(3)).toBe('325E35633334');
  });
});

test('the standard requests', async () => {
  const { dfu } = rig('stm32f446xx');
  // GET_STATUS(device) 0x0001, dfu-util device-logs@fdc72a8
  expect(await dfu.standard(0x80, 0, 0, 2)).toBe('0100');
  expect(await dfu.standard(0x81, 0, 0, 2)).toBe('0000');
  expect(await dfu.standard(0x80, 8, 0, 1)).toBe('00');
  expect(await dfu.standard(0x00, 9, 1, 0)).toBe('');
  expect(await dfu.standard(0x80, 8, 0, 1)).toBe('01');
  expect(await dfu.standard(0x00, 9, 2, 0)).toBe('stall');
  expect(await dfu.standard(0x01, 11, 3, 0)).toBe('');
  expect(await dfu.standard(0x81, 10, 0, 1)).toBe('03');
  expect(await dfu.standard(0x01, 11, 4, 0)).toBe('stall');
  // and none of them has touched the DFU state
  expect(await dfu.getStatus()).toBe('0a0000000a00');
});
