import { expect, test } from '@jest/globals';
import { inflateSync } from 'node:zlib';
import { recognizeAt } from '../../src/firmware/recognize.ts';
import {
  forgeDeployer,
  forgeKatapult,
  forgeKlipper,
  forgeStockBootloader,
  type KlipperTransport,
} from '../../src/virtual/forge.ts';

const MCUS = ['stm32f446xx', 'stm32f429xx', 'stm32f407xx', 'stm32h723xx'] as const;
const APP = {
  stm32f446xx: 0x0800_8000,
  stm32f429xx: 0x0800_8000,
  stm32f407xx: 0x0800_8000,
  stm32h723xx: 0x0802_0000,
};

const INTERRUPTS = { stm32f446xx: 97, stm32f429xx: 91, stm32f407xx: 82, stm32h723xx: 163 };

const word = (image: Uint8Array, at: number) => Buffer.from(image).readUInt32LE(at);

for (const mcu of MCUS) {
  for (const transport of ['usb', 'bridge', 'can'] satisfies KlipperTransport[]) {
    for (const linkAddress of [APP[mcu], 0x0800_0000]) {
      test(`klipper ${mcu} ${transport} at ${linkAddress.toString(16)} has the shape of a real one`, () => {
        const image = Buffer.from(forgeKlipper({ mcu, transport, linkAddress }));
        const reset = word(image, 4) - 1 - linkAddress;
        expect(word(image, 0)).toBe(0x2002_0000);
        expect(image.subarray(reset, reset + 10).toString('hex')).toBe('72b6024b024a9d461047');
        // One zlib head, and a literal word that points there.
        const heads = image.toString('hex').match(/^(?:..)*?78da/);
        const at = (heads?.[0].length ?? 0) / 2 - 2;
        const pointer = Buffer.alloc(4);
        pointer.writeUInt32LE(linkAddress + at);
        expect(image.indexOf(pointer) % 4).toBe(0);
        const { app, config }: { app: string; config: Record<string, unknown> } = JSON.parse(
          inflateSync(image.subarray(at)).toString('utf8'),
        );
        expect([app, config['MCU']]).toEqual(['Klipper', mcu]);
        expect('CANBUS_FREQUENCY' in config).toBe(transport === 'can');
        expect('CANBUS_BRIDGE' in config).toBe(transport === 'bridge');
        expect('RESERVE_PINS_USB' in config).toBe(transport !== 'can');
        expect(image.includes('CanBoot!')).toBe(linkAddress !== 0x0800_0000);
      });
    }
  }

  test(`katapult, deployer and stock bootloader of ${mcu} have the shapes of real ones`, () => {
    for (const transport of ['usb', 'can'] as const) {
      const katapult = Buffer.from(forgeKatapult({ mcu, transport }));
      const reset = word(katapult, 4) - 1 - 0x0800_0000;
      expect(katapult.toString('latin1', reset - 8, reset)).toBe('CanBoot!');
      const proto = Buffer.from('00010100', 'hex');
      expect(word(katapult, katapult.indexOf(proto) + 4)).toBe(APP[mcu]);
      expect(katapult.includes(Buffer.from('katapult', 'utf16le'))).toBe(transport === 'usb');
      expect(katapult.includes(mcu)).toBe(true);
    }
    const deployer = Buffer.from(forgeDeployer({ mcu }));
    expect(word(deployer, 4)).toBe(APP[mcu] + 9);
    expect(deployer.includes(Buffer.from(forgeKatapult({ mcu })))).toBe(true);
    const stock = Buffer.from(forgeStockBootloader({ mcu }));
    for (const name of ['FIRMWARE.CUR', 'firmware.bin', 'admin.txt']) expect(stock.includes(name)).toBe(true);
    expect(stock.includes('CanBoot!')).toBe(false);
    // RM0090, RM0390 and RM0468: a vector for each interrupt of this chip, then code.
    const isVector = (index: number) =>
      word(stock, 4 * index) % 2 === 1 && word(stock, 4 * index) >> 16 === 0x0800;
    const vectors = 16 + INTERRUPTS[mcu];
    expect([16, vectors - 1, vectors].map(isVector)).toEqual([true, true, false]);
  });
}

test('the same order gives the same bytes, another version or seed other bytes everywhere', () => {
  const mcu = 'stm32f446xx';
  const image = forgeKlipper({ mcu });
  expect(forgeKlipper({ mcu })).toEqual(image);
  for (const other of [forgeKlipper({ mcu, version: 'v0.13.1' }), forgeKlipper({ mcu, seed: 9 })]) {
    const equal = image.filter((byte, index) => byte === other[index]).length;
    expect(equal).toBeLessThan(image.length / 10);
  }
});

test('sizes are those of real builds unless asked otherwise', () => {
  expect(forgeKlipper({ mcu: 'stm32f446xx' })).toHaveLength(44516);
  expect(forgeKlipper({ mcu: 'stm32f446xx', sizeBytes: 46 * 1024 })).toHaveLength(46 * 1024);
  expect(MCUS.map((mcu) => forgeStockBootloader({ mcu }).length)).toEqual([32464, 28944, 30760, 27216]);
  expect(MCUS.map((mcu) => forgeKatapult({ mcu }).length)).toEqual([5148, 5052, 5052, 5756]);
});

test.each(MCUS)('a compact klipper of %s is one to whoever looks at it', async (mcu) => {
  const linkAddress = APP[mcu];
  const image = forgeKlipper({ mcu, linkAddress, isCompact: true, version: 'v1.2.3' });
  expect(image).toHaveLength(6 * 1024);
  expect(recognizeAt(image, linkAddress)).toMatchObject({
    kind: 'klipper',
    version: 'v1.2.3',
    mcu,
    linkAddress,
    transport: 'usb',
    damage: null,
  });
});
