// Copies of a board: taken, kept once, listed, refused when damaged, and put back bit by bit.
import { describe, expect, test } from '@jest/globals';
import { listBackups, readBackup, readRecords } from '../../src/flash/backup.ts';
import { seal } from '../../src/kept.ts';
import { forgeKatapult, forgeStockBootloader, OLD_KLIPPER } from '../../src/virtual/forge.ts';
import {
  BOARDS,
  expectSafe,
  failureOf,
  flashBytes,
  klipperFor,
  setUp,
  TWO_BOARDS,
  type TestBench,
} from '../support/bench.ts';
import { backUp, boardOf, keepBytes, putBack } from '../support/kept.ts';
import { rawWrite } from '../support/raw-write.ts';
import { erasesOf, expectUntouched, wholeFlash } from '../support/untouched.ts';

async function editRecord(rig: TestBench, id: string, edit: (text: string) => string): Promise<void> {
  const key = `backups/${boardOf(rig)}/${id}.json`;
  const text = new TextDecoder().decode(await rig.kit.store.read(key));
  await rig.kit.store.write(key, new TextEncoder().encode(edit(text)));
}

describe.each(BOARDS)('%s', (board) => {
  test('is read as a whole, kept once, and put back after another flash', async () => {
    const rig = await setUp({ board });
    const old = wholeFlash(rig);
    const taken = await backUp(rig);
    expect(taken).toMatchObject({
      backup: { what: 'whole', alreadyKept: false },
      record: {
        board,
        what: 'whole',
        address: 0x0800_0000,
        sizeBytes: old.length,
        mcu: rig.place.board.mcu.name,
        busPath: rig.bench.board.data.busPath,
        bootloader: 'stock bootloader',
        application: `klipper ${OLD_KLIPPER}`,
      },
    });
    expect(erasesOf(rig)).toBe(0);
    await rig.bench.settle();
    expect(rig.bench.board.klipper?.version).toBe(OLD_KLIPPER);
    expect(await backUp(rig)).toMatchObject({ backup: { id: taken.backup.id, alreadyKept: true } });
    expect(await listBackups(rig.kit, board)).toHaveLength(1);
    expect(old.equals((await readBackup(rig.kit, board, taken.backup.id)).bytes)).toBe(true);

    await flashBytes(rig, klipperFor(rig));
    expect(wholeFlash(rig).equals(old)).toBe(false);
    expect(await putBack(rig, taken.backup.id)).toMatchObject({
      state: 'done',
      verified: true,
      version: OLD_KLIPPER,
      printer: 'ready',
    });
    expect(wholeFlash(rig).equals(old)).toBe(true);
    expect(rig.bench.board.klipper?.version).toBe(OLD_KLIPPER);
    expectSafe(rig);
    rig.bench.dispose();
  });
});

describe.each(TWO_BOARDS)('%s', (board) => {
  test('a region goes back where it came from, and nowhere else', async () => {
    const rig = await setUp({ board });
    const image = (version: string) => klipperFor(rig, { version, seed: version.length });
    await flashBytes(rig, image('v1.0.0-first'));
    const second = await flashBytes(rig, image('v1.0.0-the-second'));
    expect(second.backup).toMatchObject({ what: 'region', alreadyKept: false });
    const before = wholeFlash(rig);
    const restored = await putBack(rig, second.backup?.id ?? '');
    expect(restored).toMatchObject({
      state: 'done',
      version: 'v1.0.0-first',
      previousVersion: 'v1.0.0-the-second',
      bootloader: 'stock bootloader',
    });
    expect(rig.bench.board.klipper?.version).toBe('v1.0.0-first');
    const from = rig.place.board.applicationAddress - 0x0800_0000;
    const to = from + 0x2_0000;
    expect(wholeFlash(rig).subarray(0, from).equals(before.subarray(0, from))).toBe(true);
    expect(wholeFlash(rig).subarray(to).equals(before.subarray(to))).toBe(true);
    // What the restore overwrote is a copy of its own, so that it can be taken back.
    expect(await listBackups(rig.kit, board)).toHaveLength(3);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('a bootloader that was replaced comes back with its application', async () => {
    const rig = await setUp({ board });
    const old = wholeFlash(rig);
    const katapult = forgeKatapult({ mcu: rig.place.board.mcu.name });
    const { backup } = await flashBytes(rig, katapult, { replaceBootloader: true });
    expect(await putBack(rig, backup?.id ?? '')).toMatchObject({ state: 'done', printer: 'ready' });
    expect(wholeFlash(rig).equals(old)).toBe(true);
    expectSafe(rig);
    rig.bench.dispose();
  });
});

test('a flash back and forth keeps each content once', async () => {
  const rig = await setUp();
  for (const version of ['v1.0.0-a', 'v1.0.0-b', 'v1.0.0-a', 'v1.0.0-b', 'v1.0.0-a'])
    await flashBytes(rig, klipperFor(rig, { version }));
  expect((await listBackups(rig.kit, boardOf(rig))).map(({ what }) => what)).toEqual([
    'whole',
    'region',
    'region',
  ]);
  rig.bench.dispose();
});

describe('refused', () => {
  test.each<[string, string, (rig: TestBench, id: string) => Promise<string>]>([
    ['unknown id', 'unknown-backup', async () => 'abcdef'],
    ['no id', 'unknown-backup', async () => ''],
    [
      'a prefix that two begin with',
      'unknown-backup',
      async (rig, id) => {
        const key = `backups/${boardOf(rig)}/${id.slice(0, 6)}000000.json`;
        const { record } = await readBackup(rig.kit, boardOf(rig), id);
        await rig.kit.store.write(key, seal({ ...record, id: `${id.slice(0, 6)}000000` }));
        return id.slice(0, 6);
      },
    ],
    [
      'bytes that rotted',
      'backup-damaged',
      async (rig, id) => {
        const key = `backups/${boardOf(rig)}/${id}.bin`;
        const bytes = (await rig.kit.store.read(key)) ?? new Uint8Array(0);
        bytes[1000] = 255 - (bytes[1000] ?? 0);
        await rig.kit.store.write(key, bytes);
        return id;
      },
    ],
    [
      'bytes that are gone',
      'backup-damaged',
      async (rig, id) => {
        await rig.kit.store.remove(`backups/${boardOf(rig)}/${id}.bin`);
        return id;
      },
    ],
    [
      'a description that rotted',
      'backup-damaged',
      async (rig, id) => {
        await editRecord(rig, id, (text) => text.slice(0, 40));
        return id;
      },
    ],
    [
      'of another chip',
      'wrong-mcu',
      async (rig, id) => {
        const { record } = await readBackup(rig.kit, boardOf(rig), id);
        await rig.kit.store.write(
          `backups/${boardOf(rig)}/${id}.json`,
          seal({ ...record, mcu: 'stm32f407xx' }),
        );
        return id;
      },
    ],
  ])('%s', async (_name, code, spoil) => {
    const rig = await setUp();
    const { backup } = await backUp(rig);
    const id = await spoil(rig, backup.id);
    await expectUntouched(rig, () => putBack(rig, id), { code, place: /./, visited: false });
    rig.bench.dispose();
  });
});

describe('one damaged copy', () => {
  test.each(['.json', '.bin'])('%s: neither the others nor a flash suffer from it', async (ending) => {
    const rig = await setUp();
    const board = boardOf(rig);
    const first = await backUp(rig);
    await flashBytes(rig, klipperFor(rig));
    const { backup: good } = await backUp(rig);
    await rig.kit.store.write(`backups/${board}/${first.backup.id}${ending}`, new Uint8Array(10).fill(0x20));
    expect((await listBackups(rig.kit, board)).map(({ id }) => id)).toContain(good.id);
    // Left out of the list, but not in silence.
    expect((await readRecords(rig.kit, board)).unreadable).toHaveLength(ending === '.json' ? 1 : 0);
    expect((await readBackup(rig.kit, board, good.id)).record.id).toBe(good.id);
    expect(await flashBytes(rig, klipperFor(rig, { version: 'v1.0.0-next' }))).toMatchObject({
      state: 'done',
    });
    expect(await failureOf(readBackup(rig.kit, board, first.backup.id))).toMatchObject({
      code: 'backup-damaged',
      place: expect.stringContaining(first.backup.id),
    });
    rig.bench.dispose();
  });

  test('a description under another name, or that the disk does not give: damaged, and nothing else suffers', async () => {
    const rig = await setUp();
    const { backup } = await backUp(rig);
    const [folder, bytes] = [`backups/${boardOf(rig)}`, new Uint8Array(0)];
    const description = (await rig.kit.store.read(`${folder}/${backup.id}.json`)) ?? bytes;
    await rig.kit.store.write(`${folder}/0123456789ab.json`, description);
    await rig.kit.store.write(`${folder}/ffffffffffff.json`, bytes);
    const read = rig.bench.store.read.bind(rig.bench.store);
    rig.bench.store.read = (key) => (key.includes('ffff') ? Promise.reject(new Error('EIO')) : read(key));
    const { records, unreadable } = await readRecords(rig.kit, boardOf(rig));
    expect(records.map(({ id }) => id)).toEqual([backup.id]);
    expect(unreadable).toEqual([`${folder}/0123456789ab.json`, `${folder}/ffffffffffff.json`]);
    expect(await flashBytes(rig, klipperFor(rig))).toMatchObject({ state: 'done' });
    rig.bench.dispose();
  });

  test('is kept anew where the same content is seen again', async () => {
    const rig = await setUp();
    const { backup } = await backUp(rig);
    await rig.kit.store.write(`backups/${boardOf(rig)}/${backup.id}.bin`, new Uint8Array(10));
    expect(await backUp(rig)).toMatchObject({ backup: { id: backup.id, alreadyKept: false } });
    expect((await readBackup(rig.kit, boardOf(rig), backup.id)).bytes).toHaveLength(512 * 1024);
    rig.bench.dispose();
  });
});

describe('half a program cannot be put back', () => {
  /** What the newest copy holds. */
  async function newest(rig: TestBench) {
    const record = (await listBackups(rig.kit, boardOf(rig))).at(-1);
    return readBackup(rig.kit, boardOf(rig), record?.id ?? '');
  }

  test('an application that the new image covers in part is kept to its end', async () => {
    const rig = await setUp();
    const { applicationAddress } = rig.place.board;
    const long = klipperFor(rig, { version: 'v1.0.0-long', sizeBytes: 60_000 });
    await flashBytes(rig, long);
    // It lies in sectors of 16, 16 and 64 KiB; of those the first is written over.
    await rawWrite(rig, applicationAddress, new Uint8Array(9000).fill(0x5a));
    const { record, bytes } = await newest(rig);
    expect(record).toMatchObject({
      what: 'region',
      address: applicationAddress,
      application: 'klipper v1.0.0-long',
    });
    expect(Buffer.from(bytes.subarray(0, long.length)).equals(long)).toBe(true);
    await rawWrite(rig, applicationAddress, new Uint8Array(200_000).fill(0x5a));
    expect(await putBack(rig, record.id)).toMatchObject({ state: 'done', version: 'v1.0.0-long' });
    rig.bench.dispose();
  });

  test.each([
    ['katapult', forgeKatapult({ mcu: 'stm32f446xx', seed: 7 })],
    ['used', forgeStockBootloader({ mcu: 'stm32f446xx', seed: 7 })],
  ] as const)(
    'a bootloader of which one sector is written over is kept to its end (%s)',
    async (state, own) => {
      const rig = await setUp({ state });
      await backUp(rig);
      const base = rig.place.board.mcu.flashBase;
      rig.bench.flash.load(base, new Uint8Array(0x8000).fill(0xff));
      rig.bench.flash.load(base, own);
      await rawWrite(rig, base, new Uint8Array(9000).fill(0x5a));
      const { record, bytes } = await newest(rig);
      expect(record).toMatchObject({ what: 'region', address: base, sizeBytes: 0x8000 });
      expect(Buffer.from(bytes.subarray(0, own.length)).equals(own)).toBe(true);
      rig.bench.dispose();
    },
  );

  test('a Klipper without a bootloader too', async () => {
    const rig = await setUp({ state: 'no-bootloader' });
    await backUp(rig);
    const base = rig.place.board.mcu.flashBase;
    const bare = klipperFor(rig, { linkAddress: base, version: 'v1.0.0-bare' });
    await flashBytes(rig, bare);
    await rawWrite(rig, base, new Uint8Array(9000).fill(0x5a));
    const { record, bytes } = await newest(rig);
    expect(record).toMatchObject({ what: 'region', address: base });
    expect(Buffer.from(bytes.subarray(0, bare.length)).equals(bare)).toBe(true);
    await rawWrite(rig, base, new Uint8Array(60_000).fill(0x5a));
    expect(await putBack(rig, record.id)).toMatchObject({ state: 'done', version: 'v1.0.0-bare' });
    rig.bench.dispose();
  });
});

test('a whole copy that rotted is none: the flash is read and kept as a whole again', async () => {
  const rig = await setUp();
  const { backup } = await backUp(rig);
  const key = `backups/${boardOf(rig)}/${backup.id}.bin`;
  const bytes = (await rig.kit.store.read(key)) ?? new Uint8Array(0);
  bytes[7] = 255 - (bytes[7] ?? 0);
  await rig.kit.store.write(key, bytes);
  expect(await flashBytes(rig, klipperFor(rig))).toMatchObject({
    backup: { what: 'whole', alreadyKept: false },
  });
  rig.bench.dispose();
});

test('two new boards are alike, and each has its own copy', async () => {
  const rig = await setUp();
  const bytes = new Uint8Array(0x4000).fill(0x11);
  const ids = [];
  for (const chipUid of ['a', 'b', null]) ids.push(await keepBytes(rig, 0x0800_0000, bytes, { chipUid }));
  expect(new Set(ids).size).toBe(3);
  rig.bench.dispose();
});

test('a card that does not keep what was written to it: the flash ends before anything is erased', async () => {
  const rig = await setUp();
  const { store } = rig.bench;
  const write = store.write.bind(store);
  store.write = (key, bytes) => write(key, key.endsWith('.bin') ? bytes.map((byte) => byte & 0xfe) : bytes);
  const expected = { code: 'store-failed', advice: /SD card/, place: /\.bin$/, visited: true };
  await expectUntouched(rig, () => flashBytes(rig, klipperFor(rig)), expected);
  rig.bench.dispose();
});

test('the same bytes from two places are two copies', async () => {
  const rig = await setUp();
  const blank = new Uint8Array(0x4000).fill(0xff);
  for (const address of [0x0800_8000, 0x0800_0000]) await keepBytes(rig, address, blank);
  const kept = await listBackups(rig.kit, boardOf(rig));
  expect(new Set(kept.map(({ address }) => address))).toEqual(new Set([0x0800_0000, 0x0800_8000]));
  for (const { id } of kept) expect((await readBackup(rig.kit, boardOf(rig), id)).bytes).toEqual(blank);
  rig.bench.dispose();
});
