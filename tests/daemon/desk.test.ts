// The desk: who may ask for what, and that every request leaves its line in the audit.
import { afterEach, expect, test } from '@jest/globals';
import type { DeskParts } from '../../src/daemon/desk.ts';
import { servedTo } from '../../src/daemon/desk.ts';
import { isRemote, type Via } from '../../src/daemon/origin.ts';
import { OctopusError } from '../../src/errors.ts';
import { modelBoards, type BoardBook } from '../../src/methods/boards.ts';
import { METHODS } from '../../src/methods/table.ts';
import { failureOf, PINS } from '../support/bench.ts';
import { BOARD, from, NEWER, openDesk, type TestDesk } from './house.ts';

const VIAS: readonly Via[] = ['local', 'shell', 'request', 'macro'];
const REMOTE = VIAS.filter((via) => via !== 'local');

/** What each method needs of the owner; a new one has to be placed here. */
const LEAVE: Readonly<Record<keyof typeof METHODS, 'arm' | 'free' | 'local only'>> = {
  flash: 'arm',
  restore: 'arm',
  repair: 'arm',
  backup: 'arm',
  reset: 'arm',
  dfuEnter: 'arm',
  inspect: 'free',
  status: 'free',
  backups: 'free',
  canbusQuery: 'free',
  doctor: 'free',
  jobGet: 'free',
  jobList: 'free',
  jobCancel: 'free',
  linesRelease: 'local only',
  unprotect: 'local only',
  wiringTest: 'local only',
};
const PARAMS: Partial<Record<keyof typeof METHODS, object>> = {
  flash: { image: 'klipper.bin' },
  restore: { backup: 'abcdef' },
  inspect: { image: 'klipper.bin' },
  unprotect: { confirm: 'erase_everything' },
  jobGet: { job: 'abcdef' },
  jobCancel: { job: 'abcdef' },
  dfuEnter: { hold_s: 0 },
};
const keys = Object.keys(METHODS).filter((key): key is keyof typeof METHODS => key in METHODS);

let open: TestDesk[] = [];
async function start(parts: Partial<DeskParts> = {}): Promise<TestDesk> {
  const house = await openDesk(parts);
  open.push(house);
  return house;
}
afterEach(() => {
  for (const { bench } of open) bench.dispose();
  open = [];
});
const unarmed = { isArmed: async () => false };

test('only the socket of the daemon is local', () => {
  expect(VIAS.filter((via) => !isRemote(from(via)))).toEqual(['local']);
});

test('every method has its place in the table of who may ask', () => {
  expect(Object.keys(LEAVE).toSorted()).toEqual(keys.toSorted());
});

test.each(keys)('%s unarmed: by each door', async (key) => {
  const { name } = METHODS[key];
  for (const via of VIAS) {
    const house = await start(unarmed);
    const before = JSON.stringify(house.bench.lines.pins());
    let lineChanges = 0;
    house.bench.lines.onLineChange(() => lineChanges++);
    const code = await house.desk.call(name, { ...PARAMS[key] }, from(via)).then(
      () => 'answered',
      (error: { code: string }) => error.code,
    );
    if (LEAVE[key] === 'local only')
      expect([via, code]).toEqual([via, via === 'local' ? 'answered' : 'unknown-method']);
    else if (LEAVE[key] === 'arm')
      expect([via, code]).toEqual([via, via === 'local' ? 'answered' : 'not-armed']);
    // What they answer is their own business; that they were asked is what counts.
    else expect(['answered', 'unknown-job']).toContain(code);
    if (code !== 'not-armed') continue;
    expect(lineChanges).toBe(0);
    expect(JSON.stringify(house.bench.lines.pins())).toBe(before);
    expect(house.desk.jobs.list()).toEqual([]);
    expect(house.bench.printer.serviceRunning).toBe(true);
  }
});

test.each(keys.filter((key) => LEAVE[key] === 'arm'))('%s armed: by each door', async (key) => {
  for (const via of VIAS) {
    const house = await start();
    const answer = await house.desk.call(METHODS[key].name, { ...PARAMS[key] }, from(via));
    const job = await house.endOf(answer);
    // A backup that is not there is a failed job of somebody who was let in.
    expect([via, job.state]).toEqual([via, key === 'restore' ? 'failed' : 'done']);
  }
});

test('a look at a board needs the same leave as a backup; a file needs none', async () => {
  for (const via of VIAS) {
    const house = await start(unarmed);
    const call = (params: object) => house.desk.call('octopus.inspect', { ...params }, from(via));
    expect(await call({ image: 'klipper.bin' })).toMatchObject({ kind: 'klipper' });
    expect(house.desk.jobs.list()).toEqual([]);
    if (via === 'local') {
      expect(await house.endOf(await call({ board: BOARD }))).toMatchObject({ state: 'done' });
      continue;
    }
    expect(await failureOf(call({ board: BOARD }))).toMatchObject({ code: 'not-armed' });
    expect(house.desk.jobs.list()).toEqual([]);
  }
});

test('armed, the answer of a look is a job, and its end has the map', async () => {
  const house = await start();
  const job = await house.endOf(await house.desk.call('octopus.inspect', { board: BOARD }, from('request')));
  expect(job).toMatchObject({
    state: 'done',
    method: 'octopus.inspect',
    result: {
      bootloader: { kind: 'stock-bootloader' },
      application: { kind: 'klipper', integrity: 'whole' },
    },
  });
  expect(house.noted.map(({ outcome }) => outcome.kind)).toEqual(['job']);
});

test('unprotect without its word is refused before a job is made of it', async () => {
  const house = await start();
  for (const confirm of ['', 'cold,still']) {
    const params = confirm === '' ? {} : { confirm };
    expect(await failureOf(house.desk.call('octopus.unprotect', params, from('local')))).toMatchObject({
      code: 'needs-confirmation',
      advice: expect.stringContaining('erase_everything'),
    });
  }
  expect(house.desk.jobs.list()).toEqual([]);
});

test('not armed says where the cure is, and asks for it anew at each request', async () => {
  let isArmed = false;
  const { desk, endOf } = await start({ isArmed: async () => isArmed });
  const refused = await failureOf(desk.call('octopus.reset', {}, from('request')));
  expect(refused).toMatchObject({
    code: 'not-armed',
    outcome: 'refused',
    advice: expect.stringContaining('octopus arm'),
  });
  isArmed = true;
  await endOf(await desk.call('octopus.reset', {}, from('request')));
  isArmed = false;
  expect(await failureOf(desk.call('octopus.reset', {}, from('request')))).toMatchObject({
    code: 'not-armed',
  });
});

test('a host.conf that cannot be read refuses what changes a board, from afar only', async () => {
  const broken = async () => {
    throw new OctopusError('bad-config', 'host.conf is broken', { advice: 'mend it' });
  };
  const { desk, endOf } = await start({ isArmed: broken });
  for (const via of REMOTE)
    expect(await failureOf(desk.call('octopus.reset', {}, from(via)))).toMatchObject({ code: 'bad-config' });
  expect(await endOf(await desk.call('octopus.reset', {}, from('local')))).toMatchObject({ state: 'done' });
});

test('a dry run needs no leave and touches nothing', async () => {
  const { desk, bench, endOf } = await start(unarmed);
  let lineChanges = 0;
  bench.lines.onLineChange(() => lineChanges++);
  const stops = countStops(bench);
  const job = await endOf(
    await desk.call('octopus.flash', { image: 'klipper.bin', dry_run: true }, from('request')),
  );
  expect(job).toMatchObject({ state: 'done', result: { state: 'planned', bytesWritten: 0 } });
  expect(lineChanges).toBe(0);
  expect(stops()).toBe(0);
  expect(bench.printer.serviceRunning).toBe(true);
  for (const dry_run of ['false', '0', false, undefined]) {
    const params = { image: 'klipper.bin', ...(dry_run === undefined ? {} : { dry_run }) };
    expect(await failureOf(desk.call('octopus.flash', params, from('request')))).toMatchObject({
      code: 'not-armed',
    });
  }
});

/** How often Klipper was asked to stop. */
function countStops({ printer }: TestDesk['bench']): () => number {
  let stops = 0;
  const stop = printer.stopKlipper.bind(printer);
  printer.stopKlipper = async () => {
    stops++;
    await stop();
  };
  return () => stops;
}

test('an unknown kind is forced on the host only, whatever else is asked', async () => {
  for (const via of REMOTE) {
    const reads: string[] = [];
    const images: DeskParts['images'] = () => ({
      read: async (name) => {
        reads.push(name);
        return { kind: 'file', file: { name, bytes: NEWER } };
      },
    });
    const { desk, bench } = await start({ images });
    for (const force of ['unknown-kind', ['unknown-kind']])
      expect(
        await failureOf(desk.call('octopus.flash', { image: 'x', force, dry_run: true }, from(via))),
      ).toMatchObject({ code: 'image-unknown-kind', outcome: 'refused' });
    expect(reads).toEqual([]);
    expect(desk.jobs.list()).toEqual([]);
    expect(bench.locks.holds(`board:${BOARD}`)).toBe(false);
  }
  const { desk, endOf } = await start();
  const answer = await desk.call('octopus.flash', { image: 'x', force: 'unknown-kind' }, from('local'));
  expect(await endOf(answer)).toMatchObject({ state: 'done' });
});

test('what is never served to Moonraker is as unknown there as a name that nobody has', async () => {
  const { desk } = await start();
  for (const via of REMOTE) {
    const error = await failureOf(desk.call('octopus.lines_release', {}, from(via)));
    expect(error.code).toBe('unknown-method');
    expect(error.advice).not.toContain('lines_release');
    expect(servedTo({ via })).not.toContain('octopus.lines_release');
  }
  expect(servedTo({ via: 'local' })).toContain('octopus.lines_release');
  const nearest = await failureOf(desk.call('octopus.flsh', {}, from('request')));
  expect(nearest).toMatchObject({
    code: 'unknown-method',
    advice: expect.stringMatching(/^Did you mean octopus\.flash\?/),
  });
  for (const name of ['constructor', '__proto__', 'toString', '', 'x'.repeat(100_000)]) {
    const error = await failureOf(desk.call(name, {}, from('request')));
    expect(error.code).toBe('unknown-method');
    expect(error.message.length).toBeLessThan(200);
  }
});

test('the only board, and its image from the configuration', async () => {
  const models = modelBoards(PINS, { heaters: { kind: 'unused' }, onlyBoard: BOARD });
  const asked: string[] = [];
  const boards: BoardBook = {
    ...models,
    imageOf: (name) => (name === BOARD ? '/firmware/own.bin' : undefined),
  };
  const images: DeskParts['images'] = () => ({
    read: async (name) => {
      asked.push(name);
      return { kind: 'file', file: { name, bytes: NEWER } };
    },
  });
  const { desk, endOf } = await start({ boards, images });
  expect(await endOf(await desk.call('octopus.flash', { dry_run: true }, from('request')))).toMatchObject({
    board: BOARD,
  });
  await endOf(await desk.call('octopus.flash', { dry_run: true, image: 'other' }, from('request')));
  expect(asked).toEqual(['/firmware/own.bin', 'other']);

  const two = await start({ boards: { ...boards, onlyBoard: undefined } });
  const error = await failureOf(two.desk.call('octopus.flash', { dry_run: true }, from('request')));
  expect(error).toMatchObject({ code: 'bad-parameter', place: 'board' });
});
