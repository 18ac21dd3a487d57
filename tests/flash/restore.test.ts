// Restoring: all of a copy, its bootloader alone, its application alone, the last one that ran; with an application along.
import { describe, expect, test } from '@jest/globals';
import { listBackups } from '../../src/flash/backup.ts';
import { lastGood } from '../../src/flash/last-good.ts';
import { preflight } from '../../src/flash/preflight.ts';
import { repair } from '../../src/flash/repair.ts';
import { openReplacement } from '../../src/flash/replacement.ts';
import {
  forgeKatapult,
  forgeKlipper,
  forgeStockBootloader,
  KATAPULT_VERSION,
  OLD_KLIPPER,
} from '../../src/virtual/forge.ts';
import { chip, stranger } from '../firmware/build-image.ts';
import {
  expectSafe,
  failureOf,
  flashBytes,
  klipperFor,
  setUp,
  TWO_BOARDS,
  type TestBench,
} from '../support/bench.ts';
import { backUp, boardOf, keepBytes, putBack } from '../support/kept.ts';
import { erasesOf, expectUntouched, wholeFlash } from '../support/untouched.ts';

const BASE = 0x0800_0000;
const NEW = 'v0.13.0-1-gabcdef0';
const replacing = { replaceBootloader: true };
const mcuOf = ({ place }: TestBench) => place.board.mcu.name;

/** Where the application begins, as an offset into the flash. */
const split = ({ place }: TestBench) => place.board.applicationAddress - BASE;

async function afterPowerCycle({ bench }: TestBench): Promise<string | null> {
  bench.powerCut();
  await bench.clock.sleep(1000);
  bench.powerOn();
  await bench.settle();
  return bench.board.klipper?.version ?? null;
}

/** Somebody else has written this, and the board was reset since. */
async function load(rig: TestBench, ...parts: readonly (readonly [number, Uint8Array])[]): Promise<void> {
  const size = wholeFlash(rig).length;
  rig.bench.flash.load(BASE, new Uint8Array(size).fill(0xff));
  for (const [address, bytes] of parts) rig.bench.flash.load(address, bytes);
  await rig.bench.pressReset();
  await rig.bench.settle();
}

describe.each(TWO_BOARDS)('%s: parts of a whole copy', (board) => {
  /** Kept as it came, then with Katapult and a newer Klipper. */
  async function changed() {
    const rig = await setUp({ board });
    const [old, { backup }] = [wholeFlash(rig), await backUp(rig)];
    await flashBytes(rig, forgeKatapult({ mcu: mcuOf(rig) }), replacing);
    await flashBytes(rig, klipperFor(rig));
    return { rig, old, id: backup.id, now: wholeFlash(rig) };
  }

  test('the bootloader alone: the newer Klipper stays, and is started by it', async () => {
    const { rig, old, id, now } = await changed();
    const result = await putBack(rig, id, { what: 'bootloader' });
    expect(result).toMatchObject({
      state: 'done',
      verified: true,
      previous: `Katapult ${KATAPULT_VERSION}`,
      boot: expect.stringContaining(NEW),
      printer: 'ready',
      backup: { what: 'region' },
    });
    expect(result.plan).toMatch(/what lies behind it is left as it is/);
    expect(result.notes).toContainEqual(
      expect.stringMatching(
        `^Klipper ${NEW} at 0x080\\w+ is left as it is, and the stock bootloader starts it`,
      ),
    );
    const flash = wholeFlash(rig);
    expect(flash.subarray(0, split(rig)).equals(old.subarray(0, split(rig)))).toBe(true);
    expect(flash.subarray(split(rig)).equals(now.subarray(split(rig)))).toBe(true);
    expect(await afterPowerCycle(rig)).toBe(NEW);
    // The Katapult that it took the place of is kept whole, and comes back by itself as well.
    expect(await putBack(rig, result.backup?.id ?? '')).toMatchObject({ state: 'done', printer: 'ready' });
    expect(
      wholeFlash(rig)
        .subarray(0, split(rig))
        .equals(now.subarray(0, split(rig))),
    ).toBe(true);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('the application alone: the newer bootloader stays', async () => {
    const { rig, id, now } = await changed();
    expect(await putBack(rig, id, { what: 'application' })).toMatchObject({
      state: 'done',
      verified: true,
      version: OLD_KLIPPER,
      previousVersion: NEW,
      bootloader: `Katapult ${KATAPULT_VERSION}`,
      printer: 'ready',
    });
    expect(
      wholeFlash(rig)
        .subarray(0, split(rig))
        .equals(now.subarray(0, split(rig))),
    ).toBe(true);
    expect(await afterPowerCycle(rig)).toBe(OLD_KLIPPER);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('a dry run says which, and touches nothing', async () => {
    const { rig, id, now } = await changed();
    const erases = erasesOf(rig);
    for (const [what, from] of [
      ['bootloader', '0x08000000'],
      ['application', '0x080[028]8?000'],
    ] as const) {
      const result = await putBack(rig, id, { what, dryRun: true });
      expect(result).toMatchObject({ state: 'planned' });
      expect(result.plan).toMatch(new RegExp(`restore of ${from}`));
    }
    expect(erasesOf(rig)).toBe(erases);
    expect(wholeFlash(rig).equals(now)).toBe(true);
    rig.bench.dispose();
  });
});

describe('the last one that ran', () => {
  const version = (text: string) => ({ version: `v1.0.0-${text}` });

  test('is what the latest flash has replaced, back and forth', async () => {
    const rig = await setUp();
    for (const one of ['a', 'b', 'c']) await flashBytes(rig, klipperFor(rig, version(one)));
    expect(await putBack(rig, 'last')).toMatchObject({ state: 'done', version: 'v1.0.0-b' });
    expect(await putBack(rig, 'last')).toMatchObject({ state: 'done', version: 'v1.0.0-c' });
    // Kept long ago, when the first flash replaced it; nothing is newer on the disk.
    await flashBytes(rig, klipperFor(rig, version('a')));
    await flashBytes(rig, klipperFor(rig, version('b')));
    expect(await putBack(rig, 'last')).toMatchObject({ state: 'done', version: 'v1.0.0-a' });
    expect(rig.bench.board.klipper?.version).toBe('v1.0.0-a');
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('is not what was written back after a flash that failed: that runs again', async () => {
    const rig = await setUp();
    await flashBytes(rig, klipperFor(rig, version('good')));
    const dead = klipperFor(rig, { ...version('dead'), crystalHz: 16_000_000 });
    expect(await failureOf(flashBytes(rig, dead))).toMatchObject({ code: 'no-boot' });
    expect(rig.bench.board.klipper?.version).toBe('v1.0.0-good');
    expect(await putBack(rig, 'last')).toMatchObject({ state: 'done', version: OLD_KLIPPER });
    rig.bench.dispose();
  });

  /** The chip falls silent while it is written. */
  async function cutOff(rig: TestBench, image: Uint8Array, options = {}): Promise<void> {
    let blocks = 0;
    rig.bench.faults.beforeTransfer = (_n, { bRequest, wValue }) => {
      if (bRequest === 1 && wValue >= 2) blocks += 1;
      return blocks > 5 ? 'timeout' : undefined;
    };
    expect((await failureOf(flashBytes(rig, image, options))).onBoard).toMatch(/half-written/);
    rig.bench.faults.beforeTransfer = undefined;
    await rig.bench.settle();
  }

  test('after flashes that were cut off: what ran before the first of them', async () => {
    const rig = await setUp();
    await flashBytes(rig, klipperFor(rig, version('good')));
    for (const one of ['torn', 'torn-too']) await cutOff(rig, klipperFor(rig, version(one)));
    expect(rig.bench.board.klipper).toBeUndefined();
    expect(await putBack(rig, 'last')).toMatchObject({
      state: 'done',
      version: 'v1.0.0-good',
      printer: 'ready',
    });
    rig.bench.dispose();
  });

  test('after one that was cut off with the bootloader under it: both', async () => {
    const rig = await setUp();
    const old = wholeFlash(rig);
    await cutOff(rig, klipperFor(rig, { linkAddress: BASE }), replacing);
    expect(await putBack(rig, 'last')).toMatchObject({ state: 'done', version: OLD_KLIPPER });
    expect(wholeFlash(rig).equals(old)).toBe(true);
    rig.bench.dispose();
  });

  test('a bootloader that was cut off, its image gone too: the old one comes back, with nothing behind it', async () => {
    const rig = await setUp();
    const old = wholeFlash(rig).fill(0xff, split(rig));
    await load(rig, [BASE, old]);
    const before = await keepBytes(rig, BASE, old, { what: 'whole' });
    const bytes = forgeKatapult({ mcu: mcuOf(rig) });
    const options = { replaceBootloader: true, force: [] };
    const plan = preflight(rig.place.board, { name: 'katapult.bin', bytes }, options);
    await openReplacement(rig.kit, plan, { ...options, chipUid: null, before });
    for (const key of await rig.kit.store.list('replacements'))
      if (key.endsWith('.bin')) await rig.kit.store.remove(key);
    await load(rig, [BASE, bytes.subarray(0, 2000).fill(0xff, 0, 64)]);
    const order = { place: rig.place, confirm: ['cold', 'still'], mayBeInBootloader: true } as const;
    expect(await repair(rig.kit, order, () => {})).toMatchObject({ kind: 'rolled-back' });
    expect(
      wholeFlash(rig)
        .subarray(0, split(rig))
        .equals(old.subarray(0, split(rig))),
    ).toBe(true);
    rig.bench.dispose();
  });

  test('after one that nobody saw to come to its end, and the board runs: what it has replaced', async () => {
    const rig = await setUp();
    await flashBytes(rig, klipperFor(rig, version('a')));
    await flashBytes(rig, klipperFor(rig, version('b')));
    const [, a] = await listBackups(rig.kit, boardOf(rig));
    const b = await keepBytes(rig, rig.place.board.applicationAddress, klipperFor(rig, version('b')));
    const bytes = klipperFor(rig, version('c'));
    const plan = preflight(
      rig.place.board,
      { name: 'klipper.bin', bytes },
      { replaceBootloader: false, force: [] },
    );
    await openReplacement(rig.kit, plan, { chipUid: null, replaceBootloader: false, force: [], before: b });
    const order = { place: rig.place, confirm: ['cold', 'still'], mayBeInBootloader: false } as const;
    expect(await repair(rig.kit, order, () => {})).toMatchObject({ kind: 'runs' });
    expect((await lastGood(rig.kit, rig.place.board)).record.id).toBe(b);
    expect(a?.id).not.toBe(b);
    rig.bench.dispose();
  });

  test('comes with its bootloader where that was replaced together with it', async () => {
    const rig = await setUp();
    const old = wholeFlash(rig);
    await flashBytes(rig, klipperFor(rig, { linkAddress: BASE }), replacing);
    expect(await putBack(rig, 'last')).toMatchObject({ state: 'done', version: OLD_KLIPPER });
    expect(wholeFlash(rig).equals(old)).toBe(true);
    rig.bench.dispose();
  });

  test('a bootloader that is replaced alone does not make another application the last one', async () => {
    const rig = await setUp();
    await flashBytes(rig, klipperFor(rig, version('a')));
    await flashBytes(rig, forgeKatapult({ mcu: mcuOf(rig) }), replacing);
    expect(await putBack(rig, 'last')).toMatchObject({
      state: 'done',
      version: OLD_KLIPPER,
      bootloader: `Katapult ${KATAPULT_VERSION}`,
    });
    rig.bench.dispose();
  });

  test('without a memory of the board: the newest copy of a Klipper', async () => {
    const rig = await setUp();
    await flashBytes(rig, klipperFor(rig, version('a')));
    await flashBytes(rig, klipperFor(rig, version('b')));
    await keepBytes(rig, 0x0800_8000, new Uint8Array(0x8000).fill(0xff));
    await rig.kit.store.remove(`boards/${boardOf(rig)}.json`);
    expect(await putBack(rig, 'last')).toMatchObject({ state: 'done', version: 'v1.0.0-a' });
    rig.bench.dispose();
  });

  test('nothing is kept: refused', async () => {
    const rig = await setUp();
    const expected = { code: 'unknown-backup', place: /^backup$/, visited: false };
    await expectUntouched(rig, () => putBack(rig, 'last'), expected);
    rig.bench.dispose();
  });
});

describe('a board is never left without firmware that boots', () => {
  const F446 = { mcu: 'stm32f446xx' } as const;
  const at = (address: number, options = {}) =>
    forgeKlipper({ ...F446, linkAddress: address, version: OLD_KLIPPER, ...options });
  const elsewhere = forgeKatapult({ ...F446, appAddress: 0x0802_0000 });
  const stock = forgeStockBootloader(F446);

  /** What lies on the board; the stock bootloader alone is to go back. */
  const LOST: Record<string, readonly (readonly [number, Uint8Array])[]> = {
    'a Klipper without a bootloader': [[BASE, at(BASE)]],
    'a Klipper that Katapult launches elsewhere': [
      [BASE, elsewhere],
      [0x0802_0000, at(0x0802_0000)],
    ],
    'the same, with an old Klipper that nobody launches where the stock bootloader would': [
      [BASE, elsewhere],
      [0x0800_8000, at(0x0800_8000, { version: 'v0.9.0' })],
      [0x0802_0000, at(0x0802_0000)],
    ],
  };
  test.each(Object.entries(LOST))('%s: refused, with the cure', async (_name, parts) => {
    const rig = await setUp();
    await backUp(rig);
    const id = await keepBytes(rig, BASE, stock);
    await load(rig, ...parts);
    const expected = {
      code: 'nothing-would-boot',
      advice: /application: a Klipper linked at 0x08008000.*or restore a whole backup/,
      place: /^0x08008000$/,
      visited: true,
    };
    const failure = await expectUntouched(rig, () => putBack(rig, id), expected);
    expect(failure.message).toMatch(`Klipper ${OLD_KLIPPER} at`);
    rig.bench.dispose();
  });

  test('something unknown that runs, and nothing behind it', async () => {
    const rig = await setUp();
    const id = await keepBytes(rig, BASE, stock);
    await backUp(rig);
    const marlin = stranger();
    new DataView(marlin.buffer).setUint32(4, BASE + 0x201, true);
    await load(rig, [BASE, marlin]);
    const expected = { code: 'nothing-would-boot', visited: true };
    await expectUntouched(rig, () => putBack(rig, id), expected, null);
    rig.bench.dispose();
  });

  test('together with what it is to launch it goes back all the same', async () => {
    for (const state of ['no-bootloader', 'katapult', 'blank'] as const) {
      const rig = await setUp({ state });
      const id = await keepBytes(rig, BASE, stock);
      const application = { name: 'klipper.bin', bytes: klipperFor(rig) };
      const result = await putBack(rig, id, { application });
      expect(result).toMatchObject({ state: 'done', verified: true, version: NEW, printer: 'ready' });
      expect(result.plan).toMatch(/with klipper\.bin/);
      expect(result.notes).toEqual([]);
      const flash = wholeFlash(rig);
      expect(Buffer.from(stock).equals(flash.subarray(0, stock.length))).toBe(true);
      expect(
        Buffer.from(application.bytes).equals(
          flash.subarray(split(rig), split(rig) + application.bytes.length),
        ),
      ).toBe(true);
      expect(await afterPowerCycle(rig)).toBe(NEW);
      expectSafe(rig);
      rig.bench.dispose();
    }
  });

  test.each(['blank', 'bricked'] as const)(
    'where nothing boots (%s) nothing can be lost: it goes back, and what to do next is said',
    async (state) => {
      const rig = await setUp({ state });
      await backUp(rig);
      const id = await keepBytes(rig, BASE, forgeKatapult({ ...F446, transport: 'can' }));
      const result = await putBack(rig, id);
      expect(result).toMatchObject({ state: 'done', verified: true });
      expect(result.notes).toContainEqual(
        expect.stringMatching(/lies nothing that it could start: flash a Klipper linked at 0x08008000 next/),
      );
      expect(await flashBytes(rig, klipperFor(rig))).toMatchObject({ state: 'done', printer: 'ready' });
      rig.bench.dispose();
    },
  );

  const cutOff = klipperCutAt(0x4000);
  /** A copy, what of it is asked for, and why that is refused: by the copy alone, before anything is touched. */
  const USELESS: Record<
    string,
    readonly [readonly [number, Uint8Array], 'whole' | 'bootloader' | 'application' | undefined, string]
  > = {
    'a blank flash': [[BASE, new Uint8Array(0x8_0000).fill(0xff)], undefined, 'nothing-would-boot'],
    'a bootloader with nothing behind it, as a whole': [[BASE, whole(stock)], 'whole', 'nothing-would-boot'],
    'the same, its application': [[BASE, whole(stock)], 'application', 'unknown-backup'],
    'an application that was cut off': [[0x0800_8000, cutOff], undefined, 'nothing-would-boot'],
    'the same behind its bootloader': [[BASE, whole(stock, cutOff)], undefined, 'nothing-would-boot'],
    'the same, alone': [[BASE, whole(stock, cutOff)], 'application', 'nothing-would-boot'],
    'a blank region': [[0x0800_8000, new Uint8Array(0x4000).fill(0xff)], undefined, 'nothing-would-boot'],
    'the middle of something': [[0x0802_0000, stock.subarray(0x1000)], undefined, 'nothing-would-boot'],
    'an application, its bootloader': [[0x0800_8000, at(0x0800_8000)], 'bootloader', 'unknown-backup'],
    'a Klipper without a bootloader, its bootloader': [[BASE, at(BASE)], 'bootloader', 'unknown-backup'],
    'half a bootloader': [[BASE, stock.subarray(0, 0x4000)], 'bootloader', 'unknown-backup'],
  };
  test.each(Object.entries(USELESS))('%s: refused', async (_name, [[address, bytes], what, code]) => {
    const rig = await setUp();
    const id = await keepBytes(rig, address, bytes);
    await expectUntouched(rig, () => putBack(rig, id, { what }), {
      code,
      advice: /octopus backups|flash an image/,
      visited: false,
    });
    rig.bench.dispose();
  });

  /** The application of a copy, over what lies on the board now. */
  const MISPLACED: Record<string, readonly [Uint8Array, readonly (readonly [number, Uint8Array])[], string]> =
    {
      'behind a Katapult that launches elsewhere': [
        whole(stock, at(0x0800_8000)),
        [
          [BASE, elsewhere],
          [0x0802_0000, at(0x0802_0000)],
        ],
        'wrong-address',
      ],
      'behind nothing': [whole(stock, at(0x0800_8000)), [[BASE, at(BASE)]], 'address-behind-nothing'],
      'at the start, over a bootloader': [
        whole(at(BASE)),
        [
          [BASE, stock],
          [0x0800_8000, at(0x0800_8000)],
        ],
        'bootloader-would-be-lost',
      ],
    };
  test.each(Object.entries(MISPLACED))('an application %s: refused', async (_name, [copy, parts, code]) => {
    const rig = await setUp();
    await backUp(rig);
    const id = await keepBytes(rig, BASE, copy, { what: 'whole' });
    await load(rig, ...parts);
    const expected = {
      code,
      visited: true,
      ...(code === 'wrong-address' ? { advice: /Restore a whole backup/ } : {}),
    };
    await expectUntouched(rig, () => putBack(rig, id, { what: 'application' }), expected);
    rig.bench.dispose();
  });

  test('what is to be launched must be linked where it is launched, and have a bootloader', async () => {
    const rig = await setUp();
    const id = await keepBytes(rig, BASE, stock);
    const application = (bytes: Uint8Array) => ({ application: { name: 'klipper.bin', bytes } });
    const wrong = { code: 'wrong-address', advice: /starts at 0x08008000/, visited: false };
    await expectUntouched(rig, () => putBack(rig, id, application(at(0x0802_0000))), wrong);
    await expectUntouched(rig, () => putBack(rig, id, application(at(BASE))), wrong);
    const other = forgeKlipper({ mcu: 'stm32f407xx' });
    await expectUntouched(rig, () => putBack(rig, id, application(other)), {
      code: 'wrong-mcu',
      visited: false,
    });
    const alone = await keepBytes(rig, 0x0800_8000, at(0x0800_8000));
    const none = { code: 'not-a-bootloader', advice: /octopus flash/, visited: false };
    await expectUntouched(rig, () => putBack(rig, alone, application(at(0x0800_8000))), none);
    rig.bench.dispose();
  });

  function whole(base: Uint8Array, application: Uint8Array = new Uint8Array(0)): Uint8Array {
    return chip(0x8_0000, [0, base], [0x8000, application]);
  }
  function klipperCutAt(length: number): Uint8Array {
    return forgeKlipper({ ...F446, version: OLD_KLIPPER }).subarray(0, length);
  }
});
