// Whatever is refused has touched nothing that matters: the error says why and what to do, nothing was erased, and the
// old firmware runs as before.
import { describe, expect, jest, test } from '@jest/globals';
import { listBackups, readBackup } from '../../src/flash/backup.ts';
import type { FlashOrder } from '../../src/flash/flash.ts';
import type { PrinterReading } from '../../src/ports/printer.ts';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import {
  forgeDeployer,
  forgeKatapult,
  forgeStockBootloader,
  KATAPULT_VERSION,
} from '../../src/virtual/forge.ts';
import { intelHex, stranger } from '../firmware/build-image.ts';
import { expectSafe, flashBytes, klipperFor, setUp, TWO_BOARDS, type TestBench } from '../support/bench.ts';
import { expectUntouched, wholeFlash, type Expectation } from '../support/untouched.ts';

const BASE = 0x0800_0000;
const STRANGER_AT = 0x0800_8000; // as tests/firmware links it
const mcuOf = ({ place }: TestBench) => place.board.mcu.name;
const ascii = (text: string) => new TextEncoder().encode(text);

interface Refusal extends Expectation {
  readonly bench?: BenchOptions;
  readonly image: (rig: TestBench) => Uint8Array;
  readonly order?: Partial<FlashOrder>;
  /** The Klipper that runs before and afterwards, where it is not the used board's. */
  readonly runs?: null;
}

/** Found in the file itself: the board is not even looked at. */
const IN_THE_FILE: Record<string, Refusal> = {
  'built for another chip': {
    image: (rig) => klipperFor(rig, { mcu: 'stm32f407xx', linkAddress: 0x0800_8000 }),
    code: 'wrong-mcu',
    advice: /menuconfig/,
    place: /klipper\.bin/,
  },
  'Katapult of another chip': {
    image: () => forgeKatapult({ mcu: 'stm32f429xx' }),
    order: { replaceBootloader: true },
    code: 'wrong-mcu',
  },
  'the stock bootloader of another chip, which names none': {
    image: () => forgeStockBootloader({ mcu: 'stm32f429xx' }),
    order: { replaceBootloader: true },
    code: 'wrong-mcu',
    advice: /correct the board/,
  },
  'a Katapult deployer': {
    image: (rig) => forgeDeployer({ mcu: mcuOf(rig) }),
    order: { replaceBootloader: true, force: ['unknown-kind'] },
    code: 'deployer-by-dfu',
    advice: /katapult\.bin/,
  },
  'an empty file': { image: () => new Uint8Array(0), code: 'image-empty', place: /klipper\.bin/ },
  'nothing but 0xFF': { image: () => new Uint8Array(40_000).fill(0xff), code: 'image-empty' },
  'cut in its dictionary': { image: (rig) => klipperFor(rig).subarray(0, 36_500), code: 'image-truncated' },
  'a web page': { image: () => ascii('<!doctype html><html>'), code: 'image-foreign', advice: /Raw/ },
  'a zip archive': { image: () => ascii('PK\x03\x04\x14\x00\x00'), code: 'image-foreign', advice: /npack/ },
  'three MiB': { image: () => new Uint8Array(3 << 20).fill(0x05), code: 'image-too-large' },
  'an unknown program': { image: () => stranger(), code: 'image-unknown-kind', advice: /\.elf or \.hex/ },
  'an unknown program, forced, that does not say where it belongs': {
    image: () => stranger(),
    order: { force: ['unknown-kind'] },
    code: 'image-unknown-kind',
  },
  'an unknown program that says where it belongs': {
    image: () => ascii(intelHex(stranger(), STRANGER_AT)),
    code: 'image-unknown-kind',
    advice: /force: unknown-kind/,
  },
  'stored for another address than it is linked at': {
    image: (rig) => ascii(intelHex(klipperFor(rig), rig.place.board.applicationAddress + 0x4000)),
    code: 'wrong-address',
  },
  'at no sector of this chip': {
    image: (rig) => klipperFor(rig, { linkAddress: 0x0800_2000 }),
    code: 'wrong-address',
    place: /^0x08002000$/,
  },
};

/** Found on the chip: the board was in its ROM and is booted again. */
const ON_THE_CHIP: Record<string, Refusal> = {
  'behind nothing, on a blank chip': {
    bench: { state: 'blank' },
    image: klipperFor,
    code: 'address-behind-nothing',
    advice: /bootloader/,
    place: /^0x08000000$/,
    runs: null,
  },
  'behind a bare Klipper': {
    bench: { state: 'no-bootloader' },
    image: klipperFor,
    code: 'address-behind-nothing',
  },
  'behind a bare Klipper, even with replace_bootloader': {
    bench: { state: 'no-bootloader' },
    image: klipperFor,
    order: { replaceBootloader: true },
    code: 'address-behind-nothing',
  },
  'a bare Klipper over the stock bootloader': {
    image: (rig) => klipperFor(rig, { linkAddress: BASE }),
    code: 'bootloader-would-be-lost',
    advice: /replace_bootloader/,
    place: /^0x08000000$/,
  },
  'a bare Klipper over Katapult': {
    bench: { state: 'katapult' },
    image: (rig) => klipperFor(rig, { linkAddress: BASE }),
    code: 'bootloader-would-be-lost',
    advice: /replace_bootloader/,
  },
  'Katapult over the stock bootloader': {
    image: (rig) => forgeKatapult({ mcu: mcuOf(rig) }),
    code: 'bootloader-would-be-lost',
  },
  'the stock bootloader over Katapult': {
    bench: { state: 'katapult' },
    image: (rig) => forgeStockBootloader({ mcu: mcuOf(rig) }),
    code: 'bootloader-would-be-lost',
  },
};

async function expectRefused(board: string, refusal: Refusal, visited: boolean): Promise<void> {
  const rig = await setUp({ board, ...refusal.bench });
  const stopped = jest.spyOn(rig.bench.printer, 'stopKlipper');
  const work = () => flashBytes(rig, refusal.image(rig), refusal.order);
  await expectUntouched(rig, work, { ...refusal, visited }, refusal.runs);
  expect(stopped).toHaveBeenCalledTimes(visited ? 1 : 0);
  rig.bench.dispose();
}

describe.each(TWO_BOARDS)('%s', (board) => {
  test.each(Object.entries(IN_THE_FILE))('%s', async (_name, refusal) => {
    await expectRefused(board, refusal, false);
  });

  test.each(Object.entries(ON_THE_CHIP))('%s', async (_name, refusal) => {
    await expectRefused(board, refusal, true);
  });

  test('an image that overruns the flash', async () => {
    const rig = await setUp({ board });
    const size = wholeFlash(rig).length;
    const padded = new Uint8Array(size).fill(0xff);
    padded.set(klipperFor(rig));
    const work = () => flashBytes(rig, padded);
    await expectUntouched(rig, work, { code: 'image-overruns-flash', visited: false });
    rig.bench.dispose();
  });

  test('a read-protected chip: nobody asks it to unprotect, which would erase it', async () => {
    const rig = await setUp({ board });
    rig.bench.flash.readProtected = true;
    const commands: (number | undefined)[] = [];
    rig.bench.faults.beforeTransfer = (_n, { bRequest, wValue }, data) => {
      // DFU_DNLOAD of block 0: a DfuSe command.
      if (bRequest === 1 && wValue === 0) commands.push(data[0]);
      return undefined;
    };
    const expected = { code: 'read-protected', visited: true };
    await expectUntouched(rig, () => flashBytes(rig, klipperFor(rig)), expected);
    expect(commands).not.toContain(0x92);
    expect(commands).not.toContain(0x41);
    expect(rig.bench.usb.transfers.total).toBeGreaterThan(5);
    expect(rig.bench.flash.readProtected).toBe(true);
    rig.bench.dispose();
  });

  test.each(['used', 'katapult'] as const)('with replace_bootloader, over %s', async (state) => {
    const rig = await setUp({ board, state });
    const before = wholeFlash(rig);
    const bare = klipperFor(rig, { linkAddress: BASE });
    const result = await flashBytes(rig, bare, { replaceBootloader: true });
    expect(result).toMatchObject({
      state: 'done',
      verified: true,
      previousVersion: state === 'used' ? null : KATAPULT_VERSION,
    });
    expect(rig.bench.board.klipper?.version).toBe('v0.13.0-1-gabcdef0');
    const [record] = await listBackups(rig.kit, board);
    expect(record?.bootloader).toMatch(state === 'used' ? /stock/ : /Katapult/);
    const { bytes } = await readBackup(rig.kit, board, result.backup?.id ?? '');
    expect(before.equals(bytes)).toBe(true);
    expectSafe(rig);
    rig.bench.dispose();
  });
});

// On an H7 no other offset of Klipper's menu is the start of a sector.
test.each(['used', 'katapult'] as const)('where the bootloader of %s launches nothing', async (state) => {
  const refusal: Refusal = {
    bench: { state },
    image: (rig) => klipperFor(rig, { linkAddress: 0x0801_0000 }),
    code: 'wrong-address',
    advice: /starts at 0x08008000/,
    place: /^0x08010000$/,
  };
  await expectRefused(TWO_BOARDS[0], refusal, true);
});

test('an unknown program that says where it belongs, forced', async () => {
  const rig = await setUp();
  const hexFile = ascii(intelHex(stranger(), STRANGER_AT));
  const result = await flashBytes(rig, hexFile, { force: ['unknown-kind'] });
  expect(result).toMatchObject({ state: 'done', verified: true, version: null });
  expect(Buffer.from(rig.bench.flash.peek(STRANGER_AT, 2048)).equals(stranger())).toBe(true);
  expectSafe(rig);
  rig.bench.dispose();
});

const heater = (targetC: number, temperatureC: number) => ({
  heaters: [{ name: 'extruder', kind: 'extruder' as const, targetC, temperatureC }],
});

test.each<[string, Partial<PrinterReading>, string, RegExp]>([
  ['printing', { printing: true }, 'gate-closed', /end/],
  ['paused', { paused: true }, 'gate-closed', /end/],
  ['moving', { moving: true }, 'gate-closed', /Wait/],
  ['a heater is on', heater(60, 24), 'gate-closed', /TURN_OFF_HEATERS/],
  ['hot', heater(0, 180), 'gate-closed', /cool/],
  ['in error and silent about heat', { state: 'error', temperatureAgeMs: 1e9 }, 'needs-confirmation', /cold/],
  ['in error', { state: 'error' }, 'needs-confirmation', /still/],
])('gate: %s', async (_name, reading, code, advice) => {
  const rig = await setUp();
  rig.bench.printer.reading = reading;
  const work = () => flashBytes(rig, klipperFor(rig), { confirm: [] });
  await expectUntouched(rig, work, { code, advice, place: /printer|confirm/, visited: false });
  expect(rig.steps).toEqual([]);
  rig.bench.dispose();
});

test('a dry run tells the plan and touches nothing', async () => {
  const rig = await setUp();
  const before = wholeFlash(rig);
  const stopped = jest.spyOn(rig.bench.printer, 'stopKlipper');
  const changes = jest.fn();
  rig.bench.lines.onLineChange(changes);
  const result = await flashBytes(rig, klipperFor(rig), { dryRun: true });
  expect(result).toMatchObject({ state: 'planned', bytesWritten: 0, backup: null, verified: false });
  expect(result.events).toContainEqual({
    kind: 'plan',
    text: expect.stringContaining('0x08008000'),
    expectMs: result.expectMs,
  });
  expect(stopped).not.toHaveBeenCalled();
  expect(changes).not.toHaveBeenCalled();
  expect(rig.bench.usb.transfers.total).toBe(0);
  expect(rig.steps).toEqual([]);
  expect(wholeFlash(rig).equals(before)).toBe(true);
  rig.bench.dispose();
});
