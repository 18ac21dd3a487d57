// What follows from a chip's id, against pairs that real boards, real builds and their owners' published files show.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { canUuid, fasthash64, romSerial } from '../../src/protocol/uuid.ts';

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));
/** Three words as a debugger prints them, in the order of memory. */
function words(...list: readonly number[]): Uint8Array {
  const chipId = new DataView(new ArrayBuffer(12));
  list.forEach((word, n) => chipId.setUint32(4 * n, word, true));
  return new Uint8Array(chipId.buffer);
}

describe('CAN uuid', () => {
  test.each([
    // klipper-katapult-dfu.md section 3 (d): Klipper's C code and flashtool's Python agree.
    ['0E002B00135053424E363620', 'ac11f42fe5aa'],
    ['4A002E000250534E4E313120', '99196bb712d5'],
    ['000102030405060708090A0B', '90a4ae022dfc'],
    ['140016001551303531313638', '9148b84d7a2a'],
    // peers-and-pains.md section 5: published by the boards' owners.
    ['430014000A50534E4E313120', '6beb0175188a'],
    ['2A003F001951313236343430', '39c374a93450'],
    ['4300360009504B4633373520', '90fb324a78ed'],
    // The same page: one real Octopus (F407), by-id, DFU serial and uuid in its owner's screenshots.
    ['390033001350344D30363120', 'c9c22f2ff0db'],
    // real-silicon.md section 7: an H723, an F446 and a G0B1.
    ['39001B000C51313339373836', '44db3d634885'],
    ['0B0027000A50534E4E313020', 'bac2e369d891'],
    ['2B0007000C50425539393020', '44bd831d1781'],
  ])('of %s is %s', (chipId, uuid) => {
    expect(canUuid(bytes(chipId))).toBe(uuid);
  });

  test('any id has one, as printer.cfg writes it, and a bit more or less is another', () => {
    const ids = fc.uint8Array({ minLength: 12, maxLength: 12 });
    fc.assert(
      fc.property(ids, fc.integer({ min: 0, max: 95 }), (id, bit) => {
        const uuid = canUuid(id);
        expect(uuid).toMatch(/^[0-9a-f]{12}$/);
        const other = Uint8Array.from(id);
        other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(canUuid(other)).not.toBe(uuid);
        expect(canUuid(id)).toBe(uuid);
      }),
    );
  });

  test('the hash takes any length and stays in 64 bits', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 40 }),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        (text, seed) => {
          const hash = fasthash64(text, seed);
          expect(hash >= 0n && hash < 2n ** 64n).toBe(true);
        },
      ),
    );
  });
});

describe('serial of the ROM', () => {
  test.each([
    // peers-and-pains.md section 5: the Octopus F407 of the screenshots.
    ['stm32f407xx', bytes('390033001350344D30363120'), ['206436694D34']],
    // libopencm3#760.
    ['stm32f405xx', words(0x002d0030, 0x3334510b, 0x32313533), ['325E35633334']],
    ['stm32f207xx', words(0x002d0030, 0x3334510b, 0x32313533), ['325E35633334']],
    ['stm32f303xx', words(0x003b0041, 0x50335706, 0x20333333), ['206E33742033']],
    // qa-community 118169: with 0x0A.
    ['stm32f412xx', bytes('1F0023000951373531373736'), ['365A375A3537']],
    // real-silicon.md section 5.
    ['stm32g0b1xx', bytes('2B0007000C50425539393020'), ['203739645542']],
    // qa-community 144003.
    ['stm32c071xx', bytes('7A0025000150364248373020'), ['205537C24236']],
    // The form of the H725, which is the same die (panda); no pair of an H723 is known.
    ['stm32h723xx', bytes('2B0007000C50425539393020'), ['203739645542']],
  ])('of an %s follows from its id', (mcu, chipId, serials) => {
    expect(romSerial(mcu, chipId)).toEqual({ kind: 'of-chip', serials });
  });

  test.each(['stm32f429xx', 'stm32f401xc', 'stm32f411xe', 'stm32f427xx'])(
    'of an %s: nobody knows whether 0x0A is added, so it is one of two',
    (mcu) => {
      expect(romSerial(mcu, bytes('390033001350344D30363120'))).toEqual({
        kind: 'of-chip',
        serials: ['206436694D34', '206436734D34'],
      });
    },
  );

  test('where the addition carries, every form that a source gives is named', () => {
    // 0x2064ffff + 0x0a: over 32, 16 and 8 bits.
    const carries = words(0x0033fffe, 0x4d345013, 0x20310001);
    expect(romSerial('stm32f412xx', carries).serials).toEqual([
      '206500094D34',
      '206400094D34',
      '2064FF094D34',
    ]);
  });

  test.each([
    ['stm32f446xx', ['STM32FxSTM32']],
    ['stm32f723xx', ['STM32FxSTM32']],
    // real-silicon.md section 5: revisions V and Y.
    ['stm32h743xx', ['200364500000', '100364500000']],
    ['stm32h750xx', ['200364500000', '100364500000']],
    ['stm32f072xb', ['FFFFFFFEFFFF']],
    ['stm32f042x6', ['FFFFFFFEFFFF']],
  ])('of an %s is that of all others', (mcu, serials) => {
    const chips = [undefined, bytes('00200032 3438510E 31373439'.replaceAll(' ', ''))];
    for (const chipId of chips) expect(romSerial(mcu, chipId)).toEqual({ kind: 'constant', serials });
  });

  test('of a chip that nobody has looked at, and of one whose id is not known', () => {
    expect(romSerial('rp2040', undefined)).toEqual({ kind: 'unknown', serials: [] });
    expect(romSerial('stm32l496xx', bytes('390033001350344D30363120')).kind).toBe('unknown');
    expect(romSerial('stm32f407xx', undefined)).toEqual({ kind: 'of-chip', serials: [] });
  });

  test('any id gives serials as the ROM writes them', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 12, maxLength: 12 }),
        fc.constantFrom('stm32f407xx', 'stm32f429xx', 'stm32f412xx', 'stm32h723xx', 'stm32f303xx'),
        (chipId, mcu) => {
          const { serials } = romSerial(mcu, chipId);
          expect(serials.length).toBeGreaterThan(0);
          for (const serial of serials) expect(serial).toMatch(/^[0-9A-F]{12}$/);
        },
      ),
    );
  });
});
