// Vectors: real-silicon.md 5 (dfu-util device-logs@fdc72a8, OCTOPUS-Pro#3, ids 14966650074, 38006345333).
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { OctopusError } from '../../src/errors.ts';
import {
  decodeString,
  describeDfu,
  parseConfiguration,
  parseMemoryName,
} from '../../src/protocol/dfu-descriptor.ts';
import { talkWith } from './talk.ts';

const KIB = 1024;
/** Nine bytes of an interface descriptor, FE/01/02. */
const alternate = (number: number, iInterface: number) => [9, 4, 0, number, 0, 0xfe, 1, 2, iInterface];
const F4_FUNCTIONAL = [0x09, 0x21, 0x0b, 0xff, 0x00, 0x00, 0x08, 0x1a, 0x01];
const F4_CONFIGURATION = Uint8Array.from([
  ...[9, 2, 54, 0, 1, 1, 0, 0xc0, 50],
  ...[0, 1, 2, 3].flatMap((index) => alternate(index, 4 + index)),
  ...F4_FUNCTIONAL,
]);
const utf16 = (text: string) =>
  Uint8Array.from([2 + 2 * text.length, 3, ...[...text].flatMap((letter) => [letter.charCodeAt(0), 0])]);

describe('memory names', () => {
  test.each([
    [
      'F446 512K',
      '@Internal Flash  /0x08000000/04*016Kg,01*064Kg,03*128Kg',
      [16, 16, 16, 16, 64, 128, 128, 128],
    ],
    ['H723: three blanks, one digit', '@Internal Flash   /0x08000000/8*128Kg', Array(8).fill(128)],
    [
      'F413: three digits',
      '@Internal Flash  /0x08000000/04*016Kg,01*064Kg,011*128Kg',
      [16, 16, 16, 16, 64, ...Array(11).fill(128)],
    ],
    ['G0B1: four size digits fit too', '@Internal Flash   /0x08000000/64*02Kg', Array(64).fill(2)],
  ])('%s', (_name, text, sizesKib) => {
    const sectors = parseMemoryName(text);
    expect(sectors.map(({ sizeBytes }) => sizeBytes / KIB)).toEqual(sizesKib);
    let address = 0x08000000;
    for (const sector of sectors) {
      expect(sector).toMatchObject({ address, readable: true, erasable: true, writable: true });
      address += sector.sizeBytes;
    }
  });

  test('several sizes and rights in one: OTP of an F4', () => {
    expect(parseMemoryName('@OTP Memory /0x1FFF7800/01*512 e,01*016 e')).toEqual([
      { address: 0x1fff7800, sizeBytes: 512, readable: true, erasable: false, writable: true },
      { address: 0x1fff7a00, sizeBytes: 16, readable: true, erasable: false, writable: true },
    ]);
  });

  test('two zones, as a 2 MB F429 of dual banks may write them', () => {
    const sectors = parseMemoryName('@Internal Flash  /0x08000000/01*016Kg/0x08100000/01*016Kg');
    expect(sectors.map(({ address }) => address)).toEqual([0x08000000, 0x08100000]);
  });

  test.each([
    '',
    'Internal Flash',
    '@Internal Flash',
    '@Internal Flash  /0x08000000/',
    '@x/0x08000000/4*0Kg',
    '@x/0x08000000/4*16Kz',
    '@x/0x08000000/4*16Kg,',
    '@x/0x08000000/4*16Kg;',
    '@x/0xFFFFC000/2*16Kg',
    '@x/0x08000000/999*9999Mg',
  ])('"%s" is refused', (text) => expect(() => parseMemoryName(text)).toThrow(OctopusError));

  test('the last sector of all addresses', () => {
    expect(parseMemoryName('@x/0xFFFFC000/1*16Kg')).toMatchObject([
      { address: 0xffff_c000, sizeBytes: 16 * KIB },
    ]);
  });

  test('noise never gets through as anything but bad-descriptor', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((tail) => `@Internal Flash  /0x08000000/${tail}`),
        ),
        (text) => {
          try {
            for (const sector of parseMemoryName(text)) expect(sector.sizeBytes).toBeGreaterThan(0);
          } catch (error) {
            expect((error as OctopusError).code).toBe('bad-descriptor');
          }
        },
      ),
    );
  });
});

describe('configuration descriptor', () => {
  test('F4: one functional descriptor behind four alternate settings', () => {
    expect(parseConfiguration(F4_CONFIGURATION)).toEqual({ transferSizeBytes: 2048, nameIndex: 4 });
  });

  test('H7: wTotalLength 36, iInterface 6, wTransferSize 1024', () => {
    const bytes = [
      9,
      2,
      36,
      0,
      1,
      1,
      2,
      0xc0,
      50,
      ...alternate(0, 6),
      ...alternate(1, 7),
      0x09,
      0x21,
      0x0b,
      0xff,
      0x00,
      0x00,
      0x04,
      0x1a,
      0x01,
    ];
    expect(parseConfiguration(Uint8Array.from(bytes))).toEqual({ transferSizeBytes: 1024, nameIndex: 6 });
  });

  test('cut or nonsensical ones are refused', () => {
    for (let length = 0; length < F4_CONFIGURATION.length; length++) {
      expect(() => parseConfiguration(F4_CONFIGURATION.subarray(0, length))).toThrow(OctopusError);
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        try {
          expect(parseConfiguration(bytes).transferSizeBytes).toBeGreaterThanOrEqual(32);
        } catch (error) {
          expect((error as OctopusError).code).toBe('bad-descriptor');
        }
      }),
    );
  });
});

test('a 1 MB F429 says 166 bytes, sends 112, and the name ends where printable ASCII does', () => {
  const name = '@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg';
  const sent = new Uint8Array(112);
  sent.set([166, 3]);
  sent.set(utf16(name).subarray(2), 2);
  expect(decodeString(sent)).toBe(name);
  const rubbish = Uint8Array.from([...sent, 0xff, 0x00, 0x41, 0x00]);
  expect(decodeString(rubbish)).toBe(name);
});

test('the whole question and answer', () => {
  const name = '@Internal Flash  /0x08000000/04*016Kg,01*064Kg,03*128Kg';
  const { result, asked } = talkWith(describeDfu(), (request) =>
    request.kind === 'in' && request.setup.value === 0x0200 ? F4_CONFIGURATION : utf16(name),
  );
  expect(result).toMatchObject({ memoryName: name, transferSizeBytes: 2048 });
  expect(
    asked.map((request) => (request.kind === 'in' ? [request.setup.value, request.setup.index] : [])),
  ).toEqual([
    [0x0200, 0],
    [0x0304, 0x0409],
  ]);
  for (const answer of ['stall', 'timeout', new Uint8Array(1)] as const) {
    expect(() => talkWith(describeDfu(), () => answer)).toThrow(OctopusError);
  }
});
