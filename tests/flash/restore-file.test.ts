// How people get back the bootloader that they lost before they met us: the Intel HEX of its maker.
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { boardByName } from '../../src/boards/boards.ts';
import { OctopusError } from '../../src/errors.ts';
import { listBackups, readBackup } from '../../src/flash/backup.ts';
import { planOfFile, withApplication } from '../../src/flash/restore-plan.ts';
import {
  forgeDeployer,
  forgeKatapult,
  forgeKlipper,
  forgeStockBootloader,
  KATAPULT_VERSION,
  OLD_KLIPPER,
} from '../../src/virtual/forge.ts';
import { hexRecord, intelHex, noise, stranger } from '../firmware/build-image.ts';
import {
  BOARDS,
  expectSafe,
  failureOf,
  flashBytes,
  klipperFor,
  setUp,
  type TestBench,
} from '../support/bench.ts';
import { backUp, boardOf, putBack } from '../support/kept.ts';
import { expectUntouched, wholeFlash } from '../support/untouched.ts';

const BASE = 0x0800_0000;
const NEW = 'v0.13.0-1-gabcdef0';
const F446 = { mcu: 'stm32f446xx' } as const;
const stockOf = ({ place }: Pick<TestBench, 'place'>) => forgeStockBootloader({ mcu: place.board.mcu.name });

/** Pieces of memory in one HEX file, in the order given. */
function hexOf(...pieces: readonly (readonly [address: number, bytes: Uint8Array])[]): Uint8Array {
  const end = hexRecord(1, 0, []);
  const records = pieces.map(([address, bytes]) => intelHex(bytes, address).replace(`${end}\r\n`, ''));
  return new TextEncoder().encode(`${records.join('')}${end}\r\n`);
}
const file = (bytes: Uint8Array, name = 'bootloader.hex') => ({ name, bytes });

async function afterPowerCycle({ bench }: TestBench): Promise<string | null> {
  bench.powerCut();
  await bench.clock.sleep(1000);
  bench.powerOn();
  await bench.settle();
  return bench.board.klipper?.version ?? null;
}

describe.each(BOARDS)('%s', (board) => {
  test('over Katapult: kept whole first, and the application behind it is started as before', async () => {
    const rig = await setUp({ board, state: 'katapult' });
    const before = wholeFlash(rig);
    const stock = stockOf(rig);
    const result = await putBack(rig, file(hexOf([BASE, stock])));
    expect(result).toMatchObject({
      state: 'done',
      verified: true,
      previous: `Katapult ${KATAPULT_VERSION}`,
      image: { kind: 'stock-bootloader', mcu: rig.place.board.mcu.name, name: 'bootloader.hex' },
      boot: expect.stringContaining(OLD_KLIPPER),
      printer: 'ready',
      notes: expect.arrayContaining([
        expect.stringMatching(
          `^Klipper ${OLD_KLIPPER} at 0x080[0-9a-f]+ is left as it is, and the stock bootloader`,
        ),
      ]),
    });
    expect(result.plan).toMatch(/\(bootloader\.hex\); what lies behind it is left as it is/);
    const split = rig.place.board.applicationAddress - BASE;
    expect(Buffer.from(stock).equals(wholeFlash(rig).subarray(0, stock.length))).toBe(true);
    expect(wholeFlash(rig).subarray(split).equals(before.subarray(split))).toBe(true);
    expect(await afterPowerCycle(rig)).toBe(OLD_KLIPPER);
    const { bytes } = await readBackup(rig.kit, board, result.backup?.id ?? '');
    expect(before.subarray(0, split).equals(bytes.subarray(0, split))).toBe(true);
    expect(await putBack(rig, result.backup?.id ?? '', { what: 'bootloader' })).toMatchObject({
      state: 'done',
    });
    expect(wholeFlash(rig).subarray(0, split).equals(before.subarray(0, split))).toBe(true);
    expectSafe(rig);
    rig.bench.dispose();
  });
});

describe('the third seed: a Klipper lies where the bootloader was', () => {
  test('without one to launch it is refused, with the cure; with one, both are there in one go', async () => {
    const rig = await setUp({ state: 'no-bootloader' });
    const bootloader = file(hexOf([BASE, stockOf(rig)]));
    const refused = {
      code: 'nothing-would-boot',
      advice: /application: a Klipper linked at 0x08008000/,
      visited: true,
    };
    await expectUntouched(rig, () => putBack(rig, bootloader), refused);
    const application = file(klipperFor(rig), 'klipper.bin');
    expect(await putBack(rig, bootloader, { application })).toMatchObject({
      state: 'done',
      verified: true,
      version: NEW,
      printer: 'ready',
    });
    expect(await afterPowerCycle(rig)).toBe(NEW);
    expect(await putBack(rig, 'last')).toMatchObject({ state: 'done', version: OLD_KLIPPER });
    rig.bench.dispose();
  });

  test('one that does not even start there (linked behind the bootloader): nothing is lost', async () => {
    const rig = await setUp({ state: 'blank' });
    rig.bench.flash.load(BASE, klipperFor(rig));
    const result = await putBack(rig, file(hexOf([BASE, stockOf(rig)])));
    expect(result.notes).toContainEqual(expect.stringMatching(/flash a Klipper linked at 0x08008000 next/));
    expect(await flashBytes(rig, klipperFor(rig))).toMatchObject({ state: 'done', printer: 'ready' });
    expect(await afterPowerCycle(rig)).toBe(NEW);
    rig.bench.dispose();
  });
});

describe('one file with both', () => {
  test.each(['the application first', 'the bootloader first'])('%s, and a gap between', async (order) => {
    const rig = await setUp({ state: 'no-bootloader' });
    const pieces = [
      [BASE, stockOf(rig)],
      [rig.place.board.applicationAddress, klipperFor(rig)],
    ] as const;
    const both = file(hexOf(...(order === 'the bootloader first' ? pieces : pieces.toReversed())));
    expect(await putBack(rig, both)).toMatchObject({
      state: 'done',
      version: NEW,
      printer: 'ready',
      notes: [],
    });
    expect(await afterPowerCycle(rig)).toBe(NEW);
    // What lies between them is erased, as it is behind a bootloader that came alone.
    const stock = stockOf(rig).length;
    expect([...new Set(wholeFlash(rig).subarray(stock, 0x8000))]).toEqual([0xff]);
    rig.bench.dispose();
  });
});

describe('refused by the file alone, before anything is touched', () => {
  const stock = forgeStockBootloader(F446);
  const klipper = forgeKlipper({ ...F446 });
  const strange = stranger();
  new DataView(strange.buffer).setUint32(4, BASE + 0x201, true);
  const REFUSED: Record<string, readonly [Uint8Array, code: string, advice: RegExp]> = {
    'a Klipper': [hexOf([0x0800_8000, klipper]), 'not-a-bootloader', /octopus flash/],
    'a deployer': [forgeDeployer(F446), 'not-a-bootloader', /octopus flash/],
    'what nobody knows': [hexOf([BASE, strange]), 'not-a-bootloader', /its maker/],
    'the bootloader of an F429': [
      hexOf([BASE, forgeStockBootloader({ mcu: 'stm32f429xx' })]),
      'wrong-mcu',
      /correct the board/,
    ],
    'the bootloader of an H723': [
      hexOf([BASE, forgeStockBootloader({ mcu: 'stm32h723xx' })]),
      'wrong-mcu',
      /correct the board/,
    ],
    'a Katapult of another chip': [forgeKatapult({ mcu: 'stm32f407xx' }), 'wrong-mcu', /correct the board/],
    'stored for another address': [hexOf([0x0800_8000, stock]), 'image-foreign', /\w/],
    'reaching over the application': [
      hexOf([BASE, stock], [0x0800_8000, noise(500)]),
      'wrong-address',
      /bootloader alone/,
    ],
    'with half an application': [
      hexOf([BASE, stock], [0x0800_8000, klipper.subarray(0, 9000)]),
      'wrong-address',
      /bootloader alone/,
    ],
    'with an application of another chip': [
      hexOf([BASE, stock], [0x0800_8000, forgeKlipper({ mcu: 'stm32f407xx' })]),
      'wrong-mcu',
      /stm32f446xx/,
    ],
    'two bootloaders in one file': [hexOf([BASE, stock], [BASE + 0x100, stock]), 'image-foreign', /\w/],
    'without its end': [hexOf([BASE, stock]).subarray(0, 20_000), 'image-truncated', /cut short/],
    'with option bytes': [hexOf([BASE, stock], [0x1fff_c000, noise(8)]), 'image-foreign', /\w/],
    empty: [new Uint8Array(0), 'image-empty', /\w/],
  };
  test.each(Object.entries(REFUSED))('%s', async (_name, [bytes, code, advice]) => {
    const rig = await setUp();
    await expectUntouched(rig, () => putBack(rig, file(bytes)), { code, advice, visited: false });
    expect(await listBackups(rig.kit, boardOf(rig))).toEqual([]);
    rig.bench.dispose();
  });

  test("a stock bootloader that launches elsewhere than this board's", () => {
    const h7 = forgeStockBootloader({ mcu: 'stm32h723xx' });
    // No such chip is known by its vectors, so nothing but the launch address tells.
    new DataView(h7.buffer).setUint32(4 * (16 + 163), BASE + 0x2ed, true);
    new DataView(h7.buffer).setUint32(0, 0x2000_4be8, true);
    const work = async () => planOfFile(boardByName('octopus-v1.1-f446'), file(hexOf([BASE, h7])));
    return expect(failureOf(work())).resolves.toMatchObject({
      code: 'wrong-address',
      message: expect.stringMatching(/launches 0x08020000/),
    });
  });

  test('a Katapult whose application begins in a sector that it would have erased', async () => {
    const katapult = forgeKatapult({ ...F446, appAddress: 0x0800_2000 });
    const work = async () => planOfFile(boardByName('octopus-v1.1-f446'), file(hexOf([BASE, katapult])));
    expect(await failureOf(work())).toMatchObject({
      code: 'wrong-address',
      message: expect.stringMatching(/erased to 0x08004000/),
    });
  });

  test('a toolhead: its Katapult does not write over itself', async () => {
    const board = boardByName('btt-ebb36-v1.2');
    const work = async () =>
      planOfFile(board, file(forgeKatapult({ mcu: board.mcu.name, transport: 'can' }), 'katapult.bin'));
    expect(await failureOf(work())).toMatchObject({
      code: 'wrong-address',
      advice: expect.stringMatching(/by USB/),
    });
  });
});

test('the same file again writes nothing', async () => {
  const rig = await setUp({ state: 'katapult' });
  const hex = file(hexOf([BASE, stockOf(rig)]));
  await putBack(rig, hex);
  expect(await putBack(rig, hex)).toMatchObject({
    state: 'done',
    sectorsErased: 0,
    bytesWritten: 0,
    backup: null,
  });
  rig.bench.dispose();
});

test('a dry run judges the file and touches nothing', async () => {
  const rig = await setUp({ state: 'katapult' });
  await backUp(rig);
  const before = wholeFlash(rig);
  expect(await putBack(rig, file(hexOf([BASE, stockOf(rig)])), { dryRun: true })).toMatchObject({
    state: 'planned',
  });
  expect(wholeFlash(rig).equals(before)).toBe(true);
  rig.bench.dispose();
});

test('whatever stands in the file: a plan for this board, or a refusal with advice', () => {
  const board = boardByName('octopus-v1.1-f446');
  const { sectors } = board.mcu;
  const programs = [
    forgeStockBootloader(F446),
    forgeStockBootloader({ mcu: 'stm32f429xx' }),
    forgeKatapult(F446),
    forgeKatapult({ ...F446, appAddress: 0x0800_c000 }),
    forgeKlipper(F446),
    noise(3000),
  ];
  const piece = fc.record({
    program: fc.constantFrom(...programs),
    address: fc.constantFrom(BASE, BASE, BASE + 0x4000, 0x0800_8000, 0x0800_c000, 0x0801_0000, 0x2000_0000),
    cut: fc.nat(50_000),
  });
  const damage = fc.array(fc.record({ at: fc.nat(), value: fc.constantFrom(0x30, 0x3a, 0x46, 0x0a, 0x00) }), {
    maxLength: 3,
  });
  fc.assert(
    fc.property(
      fc.array(piece, { minLength: 1, maxLength: 3 }),
      damage,
      fc.boolean(),
      (pieces, changes, isWithApplication) => {
        const bytes = hexOf(
          ...pieces.map(({ address, program, cut }) => [address, program.subarray(0, 8 + cut)] as const),
        );
        for (const { at, value } of changes) bytes[at % bytes.length] = value;
        try {
          const plan = planOfFile(board, file(bytes));
          const { image } = isWithApplication ? withApplication(plan, file(forgeKlipper(F446))) : plan;
          expect(image.address).toBe(BASE);
          expect(BASE + image.bytes.length).toBeLessThanOrEqual(BASE + 0x8_0000);
          expect(plan.sectors[0]).toBe(sectors[0]);
        } catch (error) {
          if (!(error instanceof OctopusError)) throw error;
          expect(error.outcome).toBe('refused');
          expect(error.advice).not.toBe('');
        }
      },
    ),
    { numRuns: 200 },
  );
});
