// A board's identity card: where each fact comes from, and that a ROM's serial number is never taken for an identity.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { boardByName } from '../../src/boards/boards.ts';
import { recall, type BoardMemory } from '../../src/flash/board-memory.ts';
import { chipIdOf, identityCard, learnChipId } from '../../src/flash/identity-card.ts';
import { reset } from '../../src/flash/reset.ts';
import { status } from '../../src/flash/status.ts';
import { seal } from '../../src/kept.ts';
import type { PrinterCanNode } from '../../src/ports/printer.ts';
import type { UsbDeviceInfo } from '../../src/ports/usb.ts';
import {
  BOARDS,
  TWO_BOARDS,
  expectSafe,
  flashBytes,
  klipperFor,
  setUp,
  type TestBench,
} from '../support/bench.ts';

// klipper-katapult-dfu.md section 3 (d).
const [CHIP, UUID] = ['0e002b00135053424e363620', 'ac11f42fe5aa'];
const [OTHER, OTHER_UUID] = ['4a002e000250534e4e313120', '99196bb712d5'];
const PLACE = { board: boardByName('octopus-v1.1-f446') };

function klipper(over: Partial<UsbDeviceInfo> = {}): UsbDeviceInfo {
  return {
    busPath: '1-1.2',
    deviceNumber: 5,
    vendorId: 0x1d50,
    productId: 0x614e,
    bcdDevice: 0x100,
    manufacturer: 'Klipper',
    product: 'stm32f446xx',
    serial: CHIP.toUpperCase(),
    ...over,
  };
}
const rom = (busPath: string): UsbDeviceInfo => ({
  ...klipper({ busPath, vendorId: 0x0483, productId: 0xdf11, serial: 'STM32FxSTM32' }),
  product: 'STM32  BOOTLOADER',
});
const node = (section: string, uuid: string): PrinterCanNode => ({
  section,
  uuid,
  interfaceName: 'can0',
  version: null,
});

describe('the chip', () => {
  test.each<[string, BoardMemory, readonly UsbDeviceInfo[], object]>([
    ['nothing known', {}, [], { chipId: null, chipIdFrom: null, canUuid: null, usbSerial: null }],
    ['told by its ROM', { chipUid: CHIP }, [], { chipId: CHIP, chipIdFrom: 'rom', canUuid: UUID }],
    [
      'told by its ROM, and now in DFU mode',
      { chipUid: CHIP, busPath: '1-1.2' },
      [rom('1-1.2')],
      { chipId: CHIP, chipIdFrom: 'rom', strangerOnUsb: null },
    ],
    [
      'told by its firmware once',
      { chipUid: CHIP, chipUidFrom: 'usb', busPath: '1-1.2' },
      [],
      { chipId: CHIP, chipIdFrom: 'usb', busPath: '1-1.2', usbSerial: CHIP.toUpperCase() },
    ],
    [
      'where it was proven to be',
      { busPath: '1-1.2' },
      [klipper(), klipper({ busPath: '1-1.3', serial: OTHER })],
      { chipId: CHIP, chipIdFrom: 'usb', canUuid: UUID },
    ],
    [
      'the same as its ROM told',
      { chipUid: CHIP, busPath: '1-1.2' },
      [klipper()],
      { chipId: CHIP, chipIdFrom: 'rom', strangerOnUsb: null },
    ],
    ['the only one of this chip', {}, [klipper()], { chipId: CHIP, chipIdFrom: 'only-candidate' }],
    [
      'the only one of this chip beside others',
      {},
      [klipper({ busPath: '1-1.3', product: 'stm32g0b1xx', serial: OTHER }), klipper()],
      { chipId: CHIP, chipIdFrom: 'only-candidate', strangerOnUsb: null },
    ],
    [
      'two of this chip: nobody knows which',
      {},
      [klipper(), klipper({ busPath: '1-1.3', serial: OTHER })],
      { chipId: null, chipIdFrom: null },
    ],
    ['a ROM alone tells nothing', {}, [rom('1-1.2')], { chipId: null, chipIdFrom: null }],
    [
      'another board in its place',
      { chipUid: CHIP, busPath: '1-1.2' },
      [klipper({ serial: OTHER.toUpperCase() })],
      { chipId: CHIP, chipIdFrom: 'rom', strangerOnUsb: OTHER, canUuid: UUID },
    ],
    [
      'another chip in its place before anything was known of it',
      { busPath: '1-1.2' },
      [klipper({ serial: OTHER, product: 'stm32g0b1xx' })],
      { chipId: null, strangerOnUsb: OTHER, canUuid: null },
    ],
    ['a memory that is damaged', { chipUid: 'nonsense' }, [], { chipId: null, chipIdFrom: null }],
  ])('%s', (_story, memory, devices, expected) => {
    expect(identityCard(PLACE, memory, devices, [])).toMatchObject(expected);
  });

  test('as the program names it is told by Klipper, Katapult and a bridge, and by nothing else', () => {
    expect(chipIdOf(klipper())).toBe(CHIP);
    expect(chipIdOf(klipper({ productId: 0x6177, manufacturer: 'katapult' }))).toBe(CHIP);
    // Before 2023-07-31 (klipper-katapult-dfu.md section 4).
    expect(chipIdOf(klipper({ productId: 0x6177, manufacturer: 'CanBoot' }))).toBe(CHIP);
    expect(chipIdOf(klipper({ productId: 0x606f }))).toBe(CHIP);
    expect(chipIdOf(klipper({ productId: 0x606f, manufacturer: 'bytewerk' }))).toBeUndefined();
    expect(chipIdOf(klipper({ productId: 0x0001 }))).toBeUndefined();
    expect(chipIdOf(klipper({ vendorId: 0x0483, productId: 0xdf11 }))).toBeUndefined();
    expect(chipIdOf(klipper({ serial: `${CHIP}0` }))).toBeUndefined();
    expect(chipIdOf(klipper({ serial: 'E6614103E7174D2A' }))).toBeUndefined();
    const { serial: _none, ...without } = klipper();
    expect(chipIdOf(without)).toBeUndefined();
  });
});

describe('printer.cfg', () => {
  const memory = { chipUid: CHIP };
  test.each([
    ['nobody can tell', 'mcu', [], { section: 'mcu', canbusUuid: null, isCanbusUuidRight: null }],
    [
      'its section has its uuid',
      'mcu',
      [node('mcu', UUID)],
      { section: 'mcu', canbusUuid: UUID, isCanbusUuidRight: true },
    ],
    [
      "its section has another board's",
      'mcu',
      [node('mcu', OTHER_UUID), node('mcu ebb', UUID)],
      { section: 'mcu', canbusUuid: OTHER_UUID, isCanbusUuidRight: false },
    ],
    [
      'its section has none',
      'mcu',
      [node('mcu ebb', OTHER_UUID)],
      { section: 'mcu', canbusUuid: null, isCanbusUuidRight: null },
    ],
    [
      'no section is configured: the one with its uuid',
      undefined,
      [node('mcu ebb', OTHER_UUID), node('mcu two', UUID)],
      { section: 'mcu two', canbusUuid: UUID, isCanbusUuidRight: true },
    ],
    [
      'no section is configured, and none has its uuid',
      undefined,
      [node('mcu', OTHER_UUID)],
      { section: null, canbusUuid: null, isCanbusUuidRight: null },
    ],
  ])('%s', (_story, section, nodes, expected) => {
    expect(identityCard({ ...PLACE, section }, memory, [], nodes)).toMatchObject(expected);
  });

  test('a board whose chip is not known is not compared', () => {
    expect(identityCard({ ...PLACE, section: 'mcu' }, {}, [], [node('mcu', UUID)])).toMatchObject({
      canbusUuid: UUID,
      isCanbusUuidRight: null,
    });
  });
});

test('whatever is on USB and in memory, a card is made of it, and no ROM serial becomes an id', () => {
  const text = fc.oneof(fc.constantFrom(CHIP, OTHER, 'STM32FxSTM32', '206436694D34', ''), fc.string());
  const device = fc
    .record({
      busPath: fc.constantFrom('1-1.2', '1-1.3'),
      productId: fc.constantFrom(0x614e, 0x606f, 0x6177, 0xdf11),
      product: fc.constantFrom('stm32f446xx', 'stm32g0b1xx'),
      serial: text,
    })
    .map((over) => klipper({ ...over, vendorId: over.productId === 0xdf11 ? 0x0483 : 0x1d50 }));
  const memory = fc.record(
    {
      busPath: fc.constantFrom('1-1.2', '1-1.3'),
      chipUid: fc.option(text),
      chipUidFrom: fc.constantFrom('rom', 'usb'),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(memory, fc.array(device, { maxLength: 4 }), (known, devices) => {
      const { chipId, usbSerial, canUuid, strangerOnUsb, dfuSerial } = identityCard(
        PLACE,
        known,
        devices,
        [],
      );
      const ids = [
        ...devices.filter(({ vendorId }) => vendorId === 0x1d50).map(({ serial }) => serial),
        known.chipUid,
      ];
      for (const id of [chipId, strangerOnUsb]) {
        expect(id ?? CHIP).toMatch(/^[0-9a-f]{24}$/);
        if (id !== null) expect(ids.map((one) => one?.toLowerCase())).toContain(id);
      }
      expect(usbSerial === null).toBe(chipId === null);
      expect(canUuid === null).toBe(chipId === null);
      expect(dfuSerial).toEqual({ kind: 'constant', serials: ['STM32FxSTM32'] });
    }),
  );
});

describe('what is remembered', () => {
  const seen = klipper({ serial: OTHER.toUpperCase() });
  const other = { chipUid: OTHER, chipUidFrom: 'usb' };
  test.each([
    ['nothing told', {}, {}, {}, undefined],
    ['a ROM that refuses, and nothing before', {}, { rom: null }, {}, undefined],
    ['the ROM', {}, { rom: CHIP, usb: seen }, { chipUid: CHIP, chipUidFrom: 'rom' }, undefined],
    ['the firmware, where the ROM refuses', {}, { rom: null, usb: seen }, other, undefined],
    ['a ROM that refuses forgets nothing', { chipUid: CHIP }, { rom: null }, {}, undefined],
    ['the same by the firmware', { chipUid: OTHER }, { usb: seen }, {}, undefined],
    [
      'the same by the ROM, later',
      { chipUid: CHIP, chipUidFrom: 'usb' as const },
      { rom: CHIP },
      { chipUid: CHIP, chipUidFrom: 'rom' },
      undefined,
    ],
    [
      'another by the firmware: the ROM is believed',
      { chipUid: CHIP },
      { usb: seen },
      {},
      /octopus backup asks/,
    ],
    [
      'another by the ROM',
      { chipUid: OTHER },
      { rom: CHIP },
      { chipUid: CHIP, chipUidFrom: 'rom' },
      /^This is another chip than the last time: 0e002b00135053424e363620, it was 4a002e000250534e4e313120\.$/,
    ],
    [
      'another by the firmware of before',
      { chipUid: CHIP, chipUidFrom: 'usb' as const },
      { usb: seen },
      other,
      /another chip/,
    ],
    ['another, and its ROM refuses', { chipUid: CHIP }, { rom: null, usb: seen }, other, /another chip/],
  ])('%s', (_story, memory, told, news, note) => {
    expect(learnChipId(memory, told)).toEqual({
      news,
      note: note === undefined ? undefined : expect.stringMatching(note),
    });
  });
});

describe.each(BOARDS)('%s', (board) => {
  test('in DFU mode its serial is one that the card names, whichever way its ROM adds', async () => {
    for (const serialAddend of [0, 0x0a] as const) {
      // Only of the F429 is it unknown; for others the proven form is the bench's own.
      const rig = await setUp({
        board,
        lines: { jumperFitted: true },
        ...(board.endsWith('f429') ? { rom: { serialAddend } } : {}),
      });
      const { bench, place } = rig;
      const [inRom] = await bench.usb.list();
      expect(inRom?.productId).toBe(0xdf11);
      const { dfuSerial } = identityCard(place, { chipUid: bench.board.data.uid }, [], []);
      expect(dfuSerial.serials).toContain(inRom?.serial);
      bench.dispose();
    }
  });

  test('a flash teaches the chip: by its ROM, or where that refuses by what left when reset went low', async () => {
    for (const systemInfo of ['readable', 'refused'] as const) {
      const rig = await setUp({ board, rom: { systemInfo } });
      await flashBytes(rig, klipperFor(rig));
      const { identity } = await status(rig.kit, rig.place);
      expect(identity).toMatchObject({
        chipId: rig.bench.board.data.uid,
        chipIdFrom: systemInfo === 'readable' ? 'rom' : 'usb',
        busPath: rig.bench.board.data.busPath,
      });
      rig.bench.dispose();
    }
  });
});

test('a reset teaches the chip as well, and a board that was replaced is not taken over in silence', async () => {
  const rig = await setUp({ uid: CHIP });
  const pulse = () => reset(rig.kit, { place: rig.place, confirm: [] }, () => {});
  await rig.kit.store.write('boards/octopus-v1.1-f446.json', seal({ busPath: '1-1.2', chipUid: OTHER }));
  const { notes } = await pulse();
  expect(notes).toEqual([expect.stringContaining(`says chip ${CHIP}, the ROM of this board said ${OTHER}`)]);
  expect((await status(rig.kit, rig.place)).identity).toMatchObject({ chipId: OTHER, strangerOnUsb: CHIP });
  // In DFU mode it refuses to tell: what left when reset went low is believed, and it is said.
  const { notes: flashed } = await flashBytes(rig, klipperFor(rig));
  expect(flashed.filter((note) => /another chip/.test(note))).toHaveLength(1);
  expect((await status(rig.kit, rig.place)).identity).toMatchObject({ chipId: CHIP, strangerOnUsb: null });
  expect((await pulse()).notes).toEqual([]);
  rig.bench.dispose();
});

describe.each(TWO_BOARDS)('two %s whose ROMs are alike', (board) => {
  const PINS = { boot0: 'gpio5', nrst: 'gpio6' } as const;
  async function twins(): Promise<{ left: TestBench; right: TestBench }> {
    const lines = { boot0Pin: PINS.boot0, nrstPin: PINS.nrst };
    const left = await setUp({
      board,
      uid: CHIP,
      busPath: '1-1.3',
      boards: [{ board, uid: OTHER, busPath: '1-1.1', lines }],
    });
    const place: TestBench['place'] = {
      ...left.place,
      board: { ...left.place.board, name: 'right' },
      pins: PINS,
    };
    return { left, right: { ...left, place } };
  }
  const cards = async ({ left, right }: { left: TestBench; right: TestBench }) =>
    [(await status(left.kit, left.place)).identity, (await status(right.kit, right.place)).identity] as const;
  const OWN = [
    { chipId: CHIP, canUuid: UUID, busPath: '1-1.3', strangerOnUsb: null },
    { chipId: OTHER, canUuid: OTHER_UUID, busPath: '1-1.1', strangerOnUsb: null },
  ];

  test('each is told by what left when its own reset went low', async () => {
    const both = await twins();
    const { bench } = both.left;
    expect((await cards(both)).map(({ chipId }) => chipId)).toEqual([null, null]);
    await flashBytes(both.left, klipperFor(both.left, { version: 'v0.13.0-1' }));
    await flashBytes(both.right, klipperFor(both.right, { version: 'v0.13.0-2' }));
    expect(await cards(both)).toMatchObject(OWN);
    expect(bench.boards.map((one) => one.klipper?.version)).toEqual(['v0.13.0-1', 'v0.13.0-2']);

    // Both in DFU mode: an F446 and its twin cannot be told apart by anything that they say.
    for (const one of bench.boards) one.lines.setJumper(true);
    for (const one of bench.boards) one.lines.button(true);
    await bench.clock.sleep(100);
    for (const one of bench.boards) one.lines.button(false);
    await bench.settle();
    for (const one of bench.boards) one.lines.setJumper(false);
    const inRom = await bench.usb.list();
    expect(inRom.map(({ productId }) => productId)).toEqual([0xdf11, 0xdf11]);
    if (board.endsWith('f446'))
      expect(inRom.map(({ serial }) => serial)).toEqual(['STM32FxSTM32', 'STM32FxSTM32']);
    expect(await cards(both)).toMatchObject(OWN);

    await flashBytes(both.right, klipperFor(both.right, { version: 'v0.13.0-3' }));
    expect(bench.boards.map((one) => one.klipper?.version)).toEqual([undefined, 'v0.13.0-3']);
    expect(await cards(both)).toMatchObject(OWN);
    expect((await recall(both.left.kit, board)).chipUid).toBe(CHIP);
    expectSafe(both.left);
    bench.dispose();
  });
});
