// Old copies go, and never one that somebody may still need: whatever was kept, whatever limit, whatever is cut off.
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { boardByName } from '../../src/boards/boards.ts';
import { keepBackup, listBackups, readBackup, readRecords, soundBackups } from '../../src/flash/backup.ts';
import { lastGoodOf, reasonsToKeep, surveyBackups } from '../../src/flash/backup-survey.ts';
import { recall, remember } from '../../src/flash/board-memory.ts';
import { pruneBackups } from '../../src/flash/prune.ts';
import { openReplacement } from '../../src/flash/replacement.ts';
import { inspect } from '../../src/firmware/inspect.ts';
import { VirtualClock } from '../../src/virtual/clock.ts';
import { MemoryStore } from '../../src/virtual/store.ts';
import * as build from '../firmware/build-image.ts';
import { failureOf } from '../support/bench.ts';

const board = boardByName('octopus-v1.1-f446');
const APP = board.applicationAddress;
const FOLDER = `backups/${board.name}`;
const BOOTLOADERS = [build.katapult(), build.katapult({ version: 'v0.0.2' }), build.stockBootloader()];

interface Rig {
  readonly store: MemoryStore;
  readonly clock: VirtualClock;
  readonly keep: (copy: Copy) => Promise<string>;
}
interface Copy {
  readonly chipUid?: string | null;
  /** Which of the bootloaders it begins with; none: a region of the application. */
  readonly bootloader?: number | undefined;
  /** Version of the Klipper in it; none: it holds a blank application. */
  readonly klipper?: number | undefined;
  readonly isWhole?: boolean;
}

function setUp(): Rig {
  const clock = new VirtualClock();
  const store = new MemoryStore(clock);
  const keep = async ({ chipUid = 'a', bootloader, klipper, isWhole = false }: Copy) => {
    await clock.sleep(1000);
    const address = bootloader === undefined ? APP : build.FLASH;
    const program = klipper === undefined ? new Uint8Array(0) : build.klipper({ version: `v1.0.${klipper}` });
    const base =
      bootloader === undefined ? new Uint8Array(0) : (BOOTLOADERS[bootloader] ?? new Uint8Array(0));
    const bytes = build.chip(0x8000 + 0x2000, [0, base], [APP - address, program]);
    const facts = {
      board: board.name,
      what: isWhole ? ('whole' as const) : ('region' as const),
      address,
      chipUid,
      mcu: board.mcu.name,
      busPath: '1-1',
      bootloader: null,
      application: null,
    };
    return (await keepBackup({ store, clock }, facts, bytes)).id;
  };
  return { store, clock, keep };
}
const idsOf = async ({ store }: Rig) => (await listBackups({ store }, board.name)).map(({ id }) => id);
const prune = async ({ store }: Rig, keep: number, journal = '') =>
  (await pruneBackups({ store }, board, keep, journal)).map(({ id }) => id);

/** What every job keeps of a board that is flashed again and again. */
async function flashedOften(rig: Rig, times = 6): Promise<{ whole: string; regions: string[] }> {
  const whole = await rig.keep({ bootloader: 2, klipper: 0, isWhole: true });
  const regions: string[] = [];
  for (let n = 1; n <= times; n++) regions.push(await rig.keep({ klipper: n }));
  return { whole, regions };
}

describe('over the limit', () => {
  test('the newest stay, and the first one; what lies between goes', async () => {
    const rig = setUp();
    const { whole, regions } = await flashedOften(rig);
    expect(await prune(rig, 7)).toEqual([]);
    expect(await prune(rig, 3)).toEqual(regions.slice(0, 3));
    expect(await idsOf(rig)).toEqual([whole, ...regions.slice(3)]);
    // Bytes and descriptions.
    expect(await rig.store.list(FOLDER)).toHaveLength(2 * 4);
    expect(await prune(rig, 3)).toEqual([]);
  });

  test('at the limit no copy is read', async () => {
    const rig = setUp();
    await flashedOften(rig, 3);
    const read: string[] = [];
    const original = rig.store.read.bind(rig.store);
    rig.store.read = (key) => {
      read.push(key);
      return original(key);
    };
    expect(await prune(rig, 4)).toEqual([]);
    expect(read.filter((key) => key.startsWith(FOLDER))).toEqual([]);
  });

  const OLD: Record<string, (rig: Rig, id: string) => Promise<string | undefined>> = {
    'the last that ran': async ({ store }, id) => {
      await remember({ store }, board.name, { lastGood: { backup: id, withBootloader: false } });
      return undefined;
    },
    'what the last flash replaced': async ({ store }, id) => {
      await remember({ store }, board.name, {
        lastFlash: {
          date: '',
          version: null,
          sha256: '',
          linkAddress: APP,
          kind: 'klipper',
          tookMs: 1,
          backup: id,
        },
      });
      return undefined;
    },
    'what an open replacement would go back to': async ({ store, clock }, id) => {
      const image = { address: APP, bytes: build.klipper() };
      const passport = inspect(image.bytes, 'klipper.bin');
      const facts = { chipUid: 'a', replaceBootloader: false, force: [], before: id };
      await openReplacement({ store, clock }, { board, image, passport }, facts);
      return undefined;
    },
    'what the journal of the last job names, in whatever form': async (_rig, id) =>
      `{"job":"x","endedAs":null,"steps":[{"kind":"kept","copy":"octopus/${id}"}`,
  };
  test.each(Object.entries(OLD))('%s stays, however old', async (_name, mark) => {
    const rig = setUp();
    const { whole, regions } = await flashedOften(rig);
    const journal = await mark(rig, regions[1] ?? '');
    expect(await prune(rig, 1, journal)).toEqual(regions.filter((_, n) => n !== 1 && n !== 5));
    expect(await idsOf(rig)).toEqual([whole, regions[1], regions[5]]);
  });

  test('the last that ran: without a note of it the newest Klipper, though a newer copy holds none', async () => {
    const rig = setUp();
    const { regions } = await flashedOften(rig, 3);
    await rig.keep({});
    expect(await prune(rig, 1)).toEqual([regions[0], regions[1]]);
    expect(await idsOf(rig)).toContain(regions[2]);
  });

  test('the only copy of a bootloader stays, of two the newer one is enough', async () => {
    const rig = setUp();
    await flashedOften(rig, 1);
    const katapult = [await rig.keep({ bootloader: 0 }), await rig.keep({ bootloader: 0, klipper: 3 })];
    const other = await rig.keep({ bootloader: 1 });
    const newest = await rig.keep({ klipper: 9 });
    await prune(rig, 1);
    const left = await idsOf(rig);
    expect(left).toEqual(expect.arrayContaining([katapult[1], other, newest]));
    expect(left).not.toContain(katapult[0]);
  });

  test('what an older bootloader left behind a shorter one makes it no other', async () => {
    const rig = setUp();
    await flashedOften(rig, 1);
    const ids: string[] = [];
    for (const filler of [0xff, 0x11]) {
      await rig.clock.sleep(1000);
      const bytes = new Uint8Array(0x8000).fill(filler);
      bytes.set(build.katapult());
      const facts = { board: board.name, what: 'region', address: build.FLASH, chipUid: 'a' } as const;
      const more = { mcu: board.mcu.name, busPath: '', bootloader: null, application: null };
      ids.push((await keepBackup(rig, { ...facts, ...more }, bytes)).id);
    }
    await rig.keep({ klipper: 9 });
    await prune(rig, 1);
    expect((await idsOf(rig)).filter((id) => ids.includes(id))).toEqual([ids[1]]);
  });

  test('each chip keeps its first and its whole one', async () => {
    const rig = setUp();
    const kept = [];
    for (const chipUid of ['a', 'b', null]) {
      kept.push(await rig.keep({ chipUid, klipper: 1 }));
      kept.push(await rig.keep({ chipUid, klipper: 2, bootloader: 0, isWhole: true }));
      await rig.keep({ chipUid, klipper: 3 });
    }
    const newest = await rig.keep({ klipper: 9 });
    await prune(rig, 1);
    expect(await idsOf(rig)).toEqual([...kept, newest]);
  });

  test('what is damaged stays, and stands for nothing', async () => {
    const rig = setUp();
    const { whole, regions } = await flashedOften(rig, 3);
    const [rotten = '', second = '', newest = ''] = regions;
    await rig.store.write(`${FOLDER}/${rotten}.bin`, new Uint8Array(7));
    await rig.store.write(`${FOLDER}/${whole}.bin`, new Uint8Array(7));
    await rig.store.write(`${FOLDER}/0123456789ab.json`, new Uint8Array(7));
    await rig.store.write(`${FOLDER}/0123456789ab.bin`, new Uint8Array(7));
    const again = await rig.keep({ bootloader: 2, klipper: 0, isWhole: true });
    const last = await rig.keep({ klipper: 10 });
    expect(await prune(rig, 1)).toEqual([newest]);
    // The second one is the first whole one of its chip now.
    expect(new Set(await idsOf(rig))).toEqual(
      new Set([rotten, second, again, last, ...(again === whole ? [] : [whole])]),
    );
    expect((await readRecords(rig, board.name)).unreadable).toEqual([`${FOLDER}/0123456789ab.json`]);
    expect(await rig.store.list(FOLDER)).toContain(`${FOLDER}/0123456789ab.bin`);
  });
});

describe('bytes without a description', () => {
  const orphan = 'aabbccddeeff';
  async function withOrphan(): Promise<Rig> {
    const rig = setUp();
    await flashedOften(rig, 1);
    await rig.store.write(`${FOLDER}/${orphan}.bin`, new Uint8Array(9));
    return rig;
  }

  test('go, and nothing else does', async () => {
    const rig = await withOrphan();
    const others = ['notes.txt', 'bin', 'firmware.bin.bin', 'old/aabbccddeeff.bin'].map(
      (name) => `${FOLDER}/${name}`,
    );
    for (const key of others) await rig.store.write(key, new Uint8Array(3));
    const kept = await idsOf(rig);
    await prune(rig, 20);
    expect(await idsOf(rig)).toEqual(kept);
    for (const id of kept) await readBackup(rig, board.name, id);
    const keys = await rig.store.list(FOLDER);
    expect(keys).not.toContain(`${FOLDER}/${orphan}.bin`);
    expect(keys).toEqual(expect.arrayContaining(others));
  });

  test('stay where the journal of the last job names them', async () => {
    const rig = await withOrphan();
    await prune(rig, 20, `...${orphan}...`);
    expect(await rig.store.list(FOLDER)).toContain(`${FOLDER}/${orphan}.bin`);
  });

  test('are what a power cut between bytes and description leaves; the next job keeps the same anew', async () => {
    const rig = setUp();
    const write = rig.store.write.bind(rig.store);
    rig.store.write = (key, bytes) =>
      key.endsWith('.json') ? Promise.reject(new Error('power')) : write(key, bytes);
    await expect(rig.keep({ klipper: 1 })).rejects.toThrow('power');
    rig.store.write = write;
    expect(await idsOf(rig)).toEqual([]);
    expect(await rig.store.list(FOLDER)).toHaveLength(1);
    const id = await rig.keep({ klipper: 1 });
    await prune(rig, 20);
    expect((await readBackup(rig, board.name, id)).record.id).toBe(id);
    expect(await rig.store.list(FOLDER)).toHaveLength(2);
  });

  test('are what a power cut in the middle of a deletion leaves: never a description that leads nowhere', async () => {
    const rig = setUp();
    const { whole, regions } = await flashedOften(rig);
    const remove = rig.store.remove.bind(rig.store);
    let left = 3;
    rig.store.remove = (key) => (left-- > 0 ? remove(key) : Promise.reject(new Error('power')));
    await expect(prune(rig, 2)).rejects.toThrow('power');
    rig.store.remove = remove;
    expect((await soundBackups(rig, board.name)).map(({ id }) => id)).toEqual(await idsOf(rig));
    await prune(rig, 2);
    expect(await idsOf(rig)).toEqual([whole, ...regions.slice(-2)]);
    expect(await rig.store.list(FOLDER)).toHaveLength(2 * 3);
  });
});

test('a disk that does not delete: told, and nothing is lost', async () => {
  const rig = setUp();
  await flashedOften(rig);
  const before = await idsOf(rig);
  rig.store.remove = () => Promise.reject(new Error('read-only'));
  expect(await failureOf(prune(rig, 1))).toMatchObject({ message: 'read-only' });
  expect(await idsOf(rig)).toEqual(before);
});

test('whatever was kept: nothing goes that is the last of its kind, and nothing stays without a reason', async () => {
  const copy = fc.record({
    chipUid: fc.constantFrom('a', 'b', null),
    bootloader: fc.option(fc.nat(2), { nil: undefined }),
    klipper: fc.option(fc.nat(3), { nil: undefined }),
    isWhole: fc.boolean(),
    damage: fc.constantFrom('none', 'none', 'none', 'bytes', 'description'),
  });
  const marks = fc.record({ lastGood: fc.nat(9), lastFlash: fc.nat(9), journal: fc.nat(9) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(copy, { maxLength: 8 }),
      fc.integer({ min: 1, max: 5 }),
      marks,
      async (copies, keep, at) => {
        const rig = setUp();
        const kept: string[] = [];
        for (const { damage, ...one } of copies) {
          const id = await rig.keep({ ...one, isWhole: one.isWhole && one.bootloader !== undefined });
          kept.push(id);
          if (damage === 'bytes') await rig.store.write(`${FOLDER}/${id}.bin`, new Uint8Array(1));
          if (damage === 'description') await rig.store.write(`${FOLDER}/${id}.json`, new Uint8Array(1));
        }
        const [good, flashed, named = ''] = [at.lastGood, at.lastFlash, at.journal].map((n) => kept[n]);
        if (good !== undefined)
          await remember(rig, board.name, { lastGood: { backup: good, withBootloader: false } });
        if (flashed !== undefined) {
          const last = { date: '', version: null, sha256: '', linkAddress: APP, kind: 'klipper', tookMs: 1 };
          await remember(rig, board.name, { lastFlash: { ...last, backup: flashed } });
        }
        const before = await surveyBackups(rig, board);
        const { lastGood, lastFlash } = await recall(rig, board.name);
        const pruned = await prune(rig, keep, named);
        const after = await surveyBackups(rig, board);

        const sound = (all: typeof before) => all.filter(({ isSound }) => isSound);
        const left = new Set(after.map(({ record }) => record.id));
        const kinds = (all: typeof before) => ({
          chips: new Set(sound(all).map(({ record }) => record.chipUid)),
          wholes: new Set(
            sound(all).flatMap(({ record }) => (record.what === 'whole' ? [record.chipUid] : [])),
          ),
          bootloaders: new Set(sound(all).flatMap(({ bootloaderSha256 }) => bootloaderSha256 ?? [])),
        });
        expect(kinds(after)).toEqual(kinds(before));
        // By hand: the first of each chip, the newest, what is marked, what is damaged.
        for (const uid of ['a', 'b', null]) {
          const first = sound(before).find(({ record }) => record.chipUid === uid);
          if (first !== undefined) expect(left).toContain(first.record.id);
        }
        for (const { record } of sound(before).slice(-keep)) expect(left).toContain(record.id);
        const marked = [good, flashed, named].filter((id) => before.some(({ record }) => record.id === id));
        for (const id of marked) expect(left).toContain(id);
        for (const { isSound, record } of before) if (!isSound) expect(left).toContain(record.id);
        expect(lastGoodOf(after, lastGood)?.record.id).toBe(lastGoodOf(before, lastGood)?.record.id);
        // Everything that went had no reason to stay, and nothing without one stays beyond the newest.
        expect(pruned.length).toBe(before.length - after.length);
        for (const one of sound(after).slice(0, -keep))
          expect(reasonsToKeep(one, sound(after), { lastGood, lastFlash, unfinished: named })).not.toEqual(
            [],
          );
      },
    ),
    { numRuns: 60 },
  );
}, 60_000);
