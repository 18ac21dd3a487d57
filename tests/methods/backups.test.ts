// octopus.backups and octopus.restore as they are asked: what each copy holds, which never go and why, which would be
// refused; what may be named to go back; old ones go behind a job, and never make it a failure.
import { describe, expect, jest, test } from '@jest/globals';
import { boardByName } from '../../src/boards/boards.ts';
import { OctopusError } from '../../src/errors.ts';
import { modelBoards, type BoardBook } from '../../src/methods/boards.ts';
import type { ImageSource } from '../../src/methods/image-source.ts';
import type { VirtualBench } from '../../src/virtual/bench.ts';
import { forgeKlipper, forgeStockBootloader, OLD_KLIPPER } from '../../src/virtual/forge.ts';
import { intelHex } from '../firmware/build-image.ts';
import { BOARD, from, NEWER, openDesk, type TestDesk } from '../daemon/house.ts';
import { PINS } from '../support/bench.ts';
import { keepBytes } from '../support/kept.ts';

const BASE = 0x0800_0000;
const F446 = { mcu: 'stm32f446xx' } as const;
const klipper = (version: string) => forgeKlipper({ ...F446, linkAddress: 0x0800_8000, version });
const FILES: Readonly<Record<string, Uint8Array>> = {
  'klipper.bin': NEWER,
  'old.bin': klipper('v1.0.0'),
  'bootloader.hex': new TextEncoder().encode(intelHex(forgeStockBootloader({ ...F446, seed: 9 }), BASE)),
};
const images: ImageSource = {
  read: async (name) => {
    if (name.startsWith('backup:')) return { kind: 'backup', id: name.slice(7) };
    const bytes = FILES[name];
    if (bytes !== undefined) return { kind: 'file', file: { name, bytes } };
    throw new OctopusError('bad-parameter', `${name} is in no allowed folder`, {
      advice: '-',
      place: 'image',
    });
  },
};

/** The known boards, of which so many copies are kept. */
function keeping(keepBackups: number): BoardBook {
  const book = modelBoards(PINS, { heaters: { kind: 'unused' }, onlyBoard: BOARD });
  return { ...book, place: (name) => ({ ...book.place(name), keepBackups }) };
}
const open = (parts: Parameters<typeof openDesk>[0] = {}) => openDesk({ images: () => images, ...parts });

async function ask(
  { desk, endOf, bench }: TestDesk,
  method: string,
  params: Readonly<Record<string, unknown>>,
) {
  await bench.clock.sleep(5000);
  const job = await endOf(await desk.call(method, params, from('request')));
  if (job.error !== undefined) throw new OctopusError(job.error.code, job.error.message, job.error);
  return job;
}
interface Listed {
  readonly id: string;
  readonly holds: object;
  readonly keptBecause: readonly string[];
  readonly isLast: boolean;
  readonly refused: { readonly code: string } | null;
}
async function list({ desk }: TestDesk, params: Readonly<Record<string, unknown>> = { board: BOARD }) {
  const answer = (await desk.call('octopus.backups', params, from('request'))) as {
    readonly backups: readonly Listed[];
    readonly unreadable: readonly string[];
  };
  return answer;
}
const keep = (bench: VirtualBench, address: number, bytes: Uint8Array, chipUid: string | null = 'c') =>
  keepBytes({ kit: bench, place: { board: boardByName(BOARD) } } as never, address, bytes, { chipUid });

describe('octopus.backups', () => {
  test('says of each what it holds, whether it stays, and whether it could go back', async () => {
    const rig = await open();
    await ask(rig, 'octopus.flash', { board: BOARD, image: 'old.bin' });
    await ask(rig, 'octopus.flash', { board: BOARD, image: 'klipper.bin' });
    await keep(rig.bench, 0x0800_8000, new Uint8Array(0x4000).fill(0xff));
    const { backups, unreadable } = await list(rig);
    expect(unreadable).toEqual([]);
    expect(backups).toMatchObject([
      {
        what: 'whole',
        holds: { bootloader: 'stock bootloader', application: `Klipper ${OLD_KLIPPER}` },
        keptBecause: ['first', 'only-whole', 'only-bootloader'],
        isLast: false,
        refused: null,
      },
      {
        what: 'region',
        holds: { bootloader: null, application: 'Klipper v1.0.0' },
        keptBecause: ['last-good', 'last-flash'],
        isLast: true,
        refused: null,
      },
      {
        holds: { bootloader: null, application: null },
        keptBecause: ['first'],
        isLast: false,
        refused: { code: 'nothing-would-boot', message: expect.stringMatching(/no firmware that boots/) },
      },
    ]);
    rig.bench.dispose();
  });

  test('a damaged one is listed with what is wrong, and protects nothing', async () => {
    const rig = await open();
    await ask(rig, 'octopus.flash', { board: BOARD, image: 'klipper.bin' });
    const [first] = (await list(rig)).backups;
    await rig.bench.store.write(`backups/${BOARD}/${first?.id}.bin`, new Uint8Array(3));
    expect((await list(rig)).backups).toMatchObject([
      { id: first?.id, keptBecause: [], refused: { code: 'backup-damaged' }, isLast: false },
    ]);
    rig.bench.dispose();
  });

  test('those of a toolhead that only the request names', async () => {
    const rig = await openDesk({ images: () => images }, { can: { nodes: [{ model: 'btt-ebb36-v1.2' }] } });
    const model = 'btt-ebb36-v1.2';
    const canbus_uuid = rig.bench.can.nodes[0]?.uuid ?? '';
    await ask(rig, 'octopus.backup', { board: model, canbus_uuid });
    const { backups } = await list(rig, { board: model, canbus_uuid });
    expect(backups).toMatchObject([
      {
        board: `${model}-${canbus_uuid}`,
        holds: { bootloader: expect.stringMatching(/^Katapult v/) },
        refused: null,
      },
    ]);
    expect((await list(rig, { board: model })).backups).toEqual([]);
    rig.bench.dispose();
  });
});

describe('octopus.restore', () => {
  test('takes a backup, last, a file, and parts of them', async () => {
    const rig = await open();
    await ask(rig, 'octopus.flash', { board: BOARD, image: 'klipper.bin' });
    const restored = async (params: object) =>
      (await ask(rig, 'octopus.restore', { board: BOARD, ...params })).result;
    expect(await restored({ backup: 'last' })).toMatchObject({ state: 'done', version: OLD_KLIPPER });
    expect(await restored({ file: 'bootloader.hex' })).toMatchObject({
      state: 'done',
      image: { kind: 'stock-bootloader' },
    });
    const whole = (await list(rig)).backups[0]?.id ?? '';
    expect(await restored({ backup: whole, what: 'bootloader', application: 'old.bin' })).toMatchObject({
      version: 'v1.0.0',
    });
    expect(await restored({ file: `backup:${whole}`, what: 'application' })).toMatchObject({
      version: OLD_KLIPPER,
    });
    rig.bench.dispose();
  });

  test.each<[string, Readonly<Record<string, unknown>>, string, string]>([
    ['nothing', {}, 'backup', 'bad-parameter'],
    ['a backup and a file', { backup: 'last', file: 'bootloader.hex' }, 'file', 'bad-parameter'],
    ['a part of a file', { file: 'bootloader.hex', what: 'bootloader' }, 'what', 'bad-parameter'],
    ['a part that there is not', { backup: 'last', what: 'flash' }, 'what', 'bad-parameter'],
    [
      'a backup as the application',
      { backup: 'last', application: 'backup:abc' },
      'application',
      'bad-parameter',
    ],
    ['a file that the request may not name', { file: '/etc/passwd' }, 'image', 'bad-parameter'],
    [
      'an application that it may not name',
      { backup: 'last', application: '/etc/passwd' },
      'image',
      'bad-parameter',
    ],
  ])('%s: refused before there is a job', async (_name, params, place, code) => {
    const rig = await open();
    const call = rig.desk.call('octopus.restore', { board: BOARD, ...params }, from('request'));
    await expect(call).rejects.toMatchObject({ code, place, advice: expect.stringMatching(/./) });
    expect(rig.ended).toEqual([]);
    rig.bench.dispose();
  });

  test('not armed: a file goes nowhere through Moonraker, but may be planned with', async () => {
    const rig = await open({ isArmed: async () => false });
    const params = { board: BOARD, file: 'bootloader.hex' };
    await expect(rig.desk.call('octopus.restore', params, from('request'))).rejects.toMatchObject({
      code: 'not-armed',
    });
    expect(await ask(rig, 'octopus.restore', { ...params, dry_run: true })).toMatchObject({
      result: { state: 'planned' },
    });
    rig.bench.dispose();
  });
});

describe('old copies go behind a job', () => {
  const JOBS: Record<string, readonly [string, Readonly<Record<string, unknown>>]> = {
    flash: ['octopus.flash', { image: 'klipper.bin' }],
    'restore from a flash': ['octopus.flash', { image: 'backup:last' }],
    restore: ['octopus.restore', { backup: 'last' }],
    backup: ['octopus.backup', {}],
  };
  /** A board with a known past, and copies of it that nobody needs. */
  async function withPast(parts: Parameters<typeof open>[0] = {}) {
    const rig = await open({ boards: keeping(2), ...parts });
    await ask(rig, 'octopus.flash', { board: BOARD, image: 'old.bin' });
    const old: string[] = [];
    for (const version of ['v0.1.0', 'v0.2.0', 'v0.3.0', 'v0.4.0']) {
      await rig.bench.clock.sleep(1000);
      old.push(await keep(rig.bench, 0x0800_8000, klipper(version)));
    }
    return { rig, old };
  }
  const idsOf = async (rig: TestDesk) => (await list(rig)).backups.map(({ id }) => id);

  test.each(Object.entries(JOBS))('%s', async (_name, [method, params]) => {
    const { rig, old } = await withPast();
    const job = await ask(rig, method, { board: BOARD, ...params });
    expect(job.result).toMatchObject({
      state: 'done',
      notes: expect.arrayContaining([expect.stringMatching(`deleted, as keep_backups is 2: ${old[1]}`)]),
    });
    expect(job.events).toContainEqual(
      expect.objectContaining({ kind: 'note', text: expect.stringMatching(/^Old backups were deleted/) }),
    );
    const left = await idsOf(rig);
    // The first of that chip, and the newest; the one from between is gone.
    expect(left).toContain(old[0]);
    expect(left).toContain(old[3]);
    expect(left).not.toContain(old[1]);
    rig.bench.dispose();
  });

  test.each(Object.entries(JOBS))(
    '%s: a disk that does not delete makes it no failure',
    async (_name, [method, params]) => {
      const { rig, old } = await withPast();
      jest.spyOn(rig.bench.store, 'remove').mockRejectedValue(new Error('read-only file system'));
      const { result } = await ask(rig, method, { board: BOARD, ...params });
      expect(result).toMatchObject({
        state: 'done',
        notes: expect.arrayContaining([expect.stringMatching(/not tidied up: .*read-only file system/)]),
      });
      expect(await idsOf(rig)).toEqual(expect.arrayContaining(old));
      rig.bench.dispose();
    },
  );

  test.each(['octopus.flash', 'octopus.restore'])('a dry run of %s deletes nothing', async (method) => {
    const { rig, old } = await withPast();
    const params = method === 'octopus.flash' ? { image: 'klipper.bin' } : { backup: 'last' };
    await ask(rig, method, { board: BOARD, ...params, dry_run: true });
    expect(await idsOf(rig)).toEqual(expect.arrayContaining(old));
    rig.bench.dispose();
  });

  test('nor does a job that fails', async () => {
    const { rig, old } = await withPast();
    rig.bench.printer.reading = { printing: true };
    await expect(ask(rig, 'octopus.flash', { board: BOARD, image: 'klipper.bin' })).rejects.toMatchObject({
      code: 'gate-closed',
    });
    expect(await idsOf(rig)).toEqual(expect.arrayContaining(old));
    rig.bench.dispose();
  });
});
