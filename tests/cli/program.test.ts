// The command line in one process: exit codes, one object under --json, ASCII, words for people.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { VERBS } from '../../src/cli/verbs.ts';
import { METHODS } from '../../src/methods/table.ts';
import type { BoardState } from '../../src/virtual/board-data.ts';
import { forgeKatapult, forgeKlipper, OLD_KLIPPER } from '../../src/virtual/forge.ts';
import { fakeStreams } from './streams.ts';
import { createBench, run } from './world.ts';

const BOARD = 'octopus-v1.1-f446';
const ON = ['--virtual', BOARD];
let folder: string;
const file = (name: string) => join(folder, name);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'octopus-cli-'));
  writeFileSync(file('klipper.bin'), forgeKlipper({ mcu: 'stm32f446xx' }));
  writeFileSync(file('other.bin'), forgeKlipper({ mcu: 'stm32f446xx', version: 'v1.0.0' }));
  writeFileSync(file('katapult.bin'), forgeKatapult({ mcu: 'stm32f446xx' }));
  writeFileSync(file('h723.bin'), forgeKlipper({ mcu: 'stm32h723xx' }));
  writeFileSync(file('text.bin'), 'hello');
  writeFileSync(file('\u00fcml\u00e4ut.bin'), 'hello');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const one = (out: string) => {
  expect(out).toMatch(/^\{[ -~]*\}\n$/);
  return JSON.parse(out);
};

test('every method has its verb', () => {
  // `octopus wiring --test` is one of the host's verbs.
  expect([...VERBS.map(({ method }) => method.name), METHODS.wiringTest.name].sort()).toEqual(
    Object.values(METHODS)
      .map(({ name }) => name)
      .sort(),
  );
});

describe('wrong usage is exit code 2, with and without --json', () => {
  const table: readonly (readonly [string, readonly string[], string])[] = [
    ['no verb', [], 'bad-parameter'],
    ['an unknown verb', ['flsh'], 'bad-parameter'],
    ['an unknown option', ['flash', '--imag', 'x'], 'unknown-parameter'],
    ['an option without its value', ['flash', '--image'], 'bad-parameter'],
    ['an operand too many', ['inspect', 'a', 'b'], 'bad-parameter'],
    ['an operand too few', ['inspect'], 'bad-parameter'],
    ['no board', ['reset'], 'bad-parameter'],
    ['an unknown board', ['status', '--board', 'x'], 'unknown-board'],
    ['a board for what has none', ['job-list', '--board', BOARD], 'unknown-parameter'],
    ['a file and a board', ['inspect', '--board', BOARD, 'x'], 'bad-parameter'],
    ['a virtual board that is not named', ['inspect', ...ON], 'bad-parameter'],
    ['no image', ['flash', ...ON], 'bad-parameter'],
    ['a bad list', ['flash', ...ON, '--image', 'x', '--confirm', 'hot'], 'bad-parameter'],
    ['a bad number', ['dfu-enter', ...ON, '--hold-s', 'soon'], 'bad-parameter'],
    ['a bad state', ['status', ...ON, '--state', 'x'], 'bad-parameter'],
    ['a virtual option on hardware', ['status', '--board', BOARD, '--fast'], 'bad-parameter'],
    ['a missing file', ['inspect', '/nowhere/klipper.bin'], 'file-unreadable'],
  ];
  test.each(table)('%s', async (_name, args, code) => {
    const asJson = await run([...args, '--json']);
    expect(asJson.code).toBe(2);
    const { error } = one(asJson.out);
    expect(error).toMatchObject({ code, message: expect.any(String), advice: expect.stringMatching(/\w/) });
    const plain = await run(args);
    expect(plain.code).toBe(2);
    expect(plain.out).toBe('');
    expect(plain.err).not.toBe('');
  });
});

test('help and version are no errors', async () => {
  for (const args of [['--help'], ['flash', '--help'], ['--version']]) {
    expect(await run(args)).toMatchObject({ code: 0, err: '' });
  }
  expect((await run(['--version'])).out).toBe('1.2.3\n');
});

test('without hardware: exit code 1, and inspect and backups work', async () => {
  expect((await run(['status', '--board', BOARD])).code).toBe(1);
  expect(one((await run(['inspect', '--json', file('klipper.bin')])).out)).toMatchObject({
    kind: 'klipper',
    linkAddress: '0x08008000',
    mcu: 'stm32f446xx',
    transport: 'usb',
    canFrequency: null,
    sizeBytes: 44516,
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    resetVector: '0x0800f009',
  });
  expect(one((await run(['backups', '--json'])).out)).toEqual({ backups: [], unreadable: [] });
});

test('a flash, a refusal, a restore and the rest on one board', async () => {
  const bench = await createBench();
  const json = async (...args: string[]) => {
    // Klipper, started again by the command before, needs its time to say that it is ready.
    await bench.clock.sleep(5000);
    const ran = await run([...args, ...ON, '--json'], bench);
    return { code: ran.code, answer: one(ran.out), err: ran.err };
  };
  expect(await json('flash', '--image', file('klipper.bin'), '--dry-run')).toMatchObject({
    code: 0,
    answer: { state: 'planned', bytesWritten: 0 },
  });
  const before = bench.flash.peek(0x0800_0000, 0x8_0000);
  expect(await json('flash', '--image', file('katapult.bin'))).toMatchObject({
    code: 3,
    answer: { error: { code: 'bootloader-would-be-lost', onBoard: expect.any(String) } },
  });
  expect(await json('flash', '--image', file('h723.bin'))).toMatchObject({
    code: 3,
    answer: { error: { code: 'wrong-mcu' } },
  });
  expect(await json('flash', '--image', file('text.bin'))).toMatchObject({ code: 3 });
  expect(Buffer.compare(bench.flash.peek(0x0800_0000, 0x8_0000), before)).toBe(0);
  expect(await json('flash', '--image', file('klipper.bin'))).toMatchObject({
    code: 0,
    err: '',
    answer: {
      state: 'done',
      board: BOARD,
      verified: true,
      bytesWritten: 44516,
      linkAddress: '0x08008000',
      previousVersion: expect.stringMatching(/^v0\.12/),
      version: expect.stringMatching(/^v0\.13/),
      timings: { total: expect.any(Number) },
    },
  });
  const { answer } = await json('backups');
  const whole = answer.backups.find(({ what }: { what: string }) => what === 'whole');
  expect(whole).toMatchObject({ address: '0x08000000', sizeBytes: 0x8_0000 });
  expect(await json('restore', whole.id)).toMatchObject({ code: 0, answer: { state: 'done' } });
  expect(Buffer.compare(bench.flash.peek(0x0800_0000, 0x8_0000), before)).toBe(0);
  expect(await json('restore', 'last')).toMatchObject({
    answer: { version: expect.stringMatching(/^v0\.13/) },
  });
  expect(await json('restore', whole.id, '--what', 'application')).toMatchObject({
    answer: { state: 'done', version: expect.stringMatching(/^v0\.12/) },
  });
  // A path as it was typed, below the working directory.
  const typed = relative(process.cwd(), file('katapult.bin'));
  const made = ['--file', typed, '--application', relative(process.cwd(), file('klipper.bin'))];
  expect(await json('restore', ...made)).toMatchObject({
    code: 0,
    answer: { version: expect.stringMatching(/^v0\.13/) },
  });
  expect(await json('restore', whole.id)).toMatchObject({ code: 0, answer: { state: 'done' } });
  expect(await json('restore')).toMatchObject({
    code: 2,
    answer: { error: { code: 'bad-parameter', place: 'backup' } },
  });
  expect(await json('restore', 'zz')).toMatchObject({
    code: 2,
    answer: { error: { code: 'unknown-backup' } },
  });
  expect(await json('reset')).toMatchObject({ code: 0, answer: { seen: 'klipper' } });
  expect(await json('backup')).toMatchObject({ code: 0, answer: { backup: { alreadyKept: true } } });
  expect(await json('dfu-enter', '--hold-s', '1')).toMatchObject({ answer: { leftBecause: 'time' } });
  expect(await json('lines-release')).toMatchObject({ code: 0, answer: { lines: 'floating' } });
  expect(await json('status')).toMatchObject({ code: 0, answer: { boards: [{ unfinishedJob: null }] } });
  const free = await bench.locks.acquire(`board:${BOARD}`);
  expect(await json('flash', '--image', file('klipper.bin'))).toMatchObject({
    code: 4,
    answer: { error: { code: 'busy' } },
  });
  await free();
  bench.dispose();
});

test('for people: the plan, a line per phase, a summary; an error with place, board and cure', async () => {
  const bench = await createBench();
  const flashed = await run(['flash', ...ON, '--image', file('klipper.bin')], bench);
  expect(flashed.code).toBe(0);
  expect(flashed.out).toMatch(/ -> klipper v0\.13.* about \d+ s\n/);
  for (const phase of ['preflight', 'enter', 'backup', 'erase', 'write', 'verify', 'boot', 'confirm']) {
    expect(flashed.out.match(new RegExp(`^${phase} `, 'gm'))).toHaveLength(1);
  }
  for (const label of ['was there', 'backup', 'written', 'verified', 'booted', 'version', 'time']) {
    expect(flashed.out).toMatch(new RegExp(`^ {2}${label} +\\S`, 'm'));
  }
  const refused = await run(['flash', ...ON, '--image', file('katapult.bin')], bench);
  expect(refused.err).toMatch(
    /^error: .*\(bootloader-would-be-lost\)\n {2}where: .*\n {2}on board: .*\n {2}cure: /,
  );
  bench.dispose();
});

test('for people: what was kept, why it stays, what could not be put back', async () => {
  const bench = await createBench();
  expect((await run(['backups', ...ON], bench)).out).toBe('No backups.\n');
  for (const name of ['klipper.bin', 'other.bin']) {
    await run(['flash', ...ON, '--image', file(name)], bench);
    await bench.clock.sleep(5000);
  }
  const { out } = await run(['backups', ...ON], bench);
  expect(out).toMatch(/^[0-9a-f]{12} {2}\S+ {2}octopus-v1\.1-f446 {2}whole 0x08000000 524288 bytes$/m);
  expect(out).toMatch(/^ {2}holds +stock bootloader, Klipper v0\.12\S+$/m);
  expect(out).toMatch(
    /^ {2}kept +always: the first of this chip, .*only whole one.*only one of its bootloader$/m,
  );
  expect(out).toMatch(/^[0-9a-f]{12} \(last\) .* region 0x08008000/m);
  expect(out).toMatch(/^ {2}kept +always: the last that ran, what the last flash replaced$/m);
  expect(out).not.toMatch(/refused/);
  const key = (await bench.store.list('backups')).find((name) => name.endsWith('.bin')) ?? '';
  await bench.store.write(key, new Uint8Array(1));
  await bench.store.write(key.replace(/[^/]+$/, '0123456789ab.json'), new Uint8Array(1));
  const damaged = (await run(['backups', ...ON], bench)).out;
  expect(damaged).toMatch(/^ {2}holds +no firmware that is known\n {2}refused +.*\(backup-damaged\)$/m);
  expect(damaged).toMatch(/^damaged, cannot be used: .*0123456789ab\.json$/m);
  bench.dispose();
});

test('what comes out is ASCII, whatever a file is called', async () => {
  const ran = await run(['inspect', file('\u00fcml\u00e4ut.bin')]);
  expect(ran.err).toMatch(/^[ -~\n]+$/);
  expect(ran.err).toContain('?ml?ut.bin');
  const asJson = await run(['inspect', '--json', file('\u00fcml\u00e4ut.bin')]);
  expect(one(asJson.out).error.message).toContain('\u00fcml\u00e4ut.bin');
});

test('colours on a terminal only, and not with NO_COLOR', async () => {
  const escape = String.fromCharCode(27);
  const args = ['inspect', file('text.bin')];
  expect((await run(args, undefined, fakeStreams({ columns: 80 }))).err).toContain(`${escape}[31m`);
  const plain = fakeStreams({ columns: 80 }, { TERM: 'xterm', NO_COLOR: '1' });
  expect((await run(args, undefined, plain)).err).not.toContain(escape);
  expect((await run(args)).err).not.toContain(escape);
});

describe('a look at a board', () => {
  const look = async (state: string, ...more: string[]) => {
    const bench = await createBench({ state: state as BoardState });
    const args = ['inspect', '--board', BOARD, ...ON, '--confirm', 'heaters_unplugged,still,cold', ...more];
    const ran = await run(args, bench);
    return { bench, ...ran };
  };

  test('in words: what it has, and a map from the first byte to the last', async () => {
    const { code, out } = await look('used');
    expect(code).toBe(0);
    expect(out).toContain(`${BOARD} has Klipper ${OLD_KLIPPER} behind the stock bootloader.\n`);
    // BIGTREETECH's bootloader for the F446 has 32464 bytes (klipper-katapult-dfu.md section 2).
    expect(out).toMatch(/^ {2}0x08000000\.\.0x08007ecf +31\.7 KiB {2}bootloader: the stock bootloader$/m);
    expect(out).toMatch(/^ {2}0x08007ed0\.\.0x08007fff +0\.3 KiB {2}blank$/m);
    expect(out).toMatch(/^ {2}0x08008000\.\.0x08012de3 +43\.5 KiB {2}firmware: Klipper v0/m);
    expect(out).toMatch(/\.\.0x0807ffff +\d+ KiB {2}blank\n$/);
  });

  test.each([
    [
      'bricked',
      'has something unknown, half-written, behind the stock bootloader|has Klipper, half-written,',
    ],
    ['blank', 'has no firmware\\.'],
    [
      'no-bootloader',
      `has Klipper ${OLD_KLIPPER.replaceAll('.', '\\.')}\\.\\n.*none: the firmware starts by itself`,
    ],
    ['katapult-empty', 'has no firmware behind Katapult v0[^]*not read +\\d+'],
    ['read-protected', 'is read-protected: nothing on its chip can be read\\.\\n[^]*octopus unprotect'],
  ])('%s', async (state, words) => {
    const { code, out } = await look(state);
    expect([code, out]).toEqual([0, expect.stringMatching(new RegExp(words))]);
  });

  test('as an object, with fields that stay', async () => {
    const { code, out } = await look('katapult', '--json');
    expect(code).toBe(0);
    expect(one(out)).toMatchObject({
      state: 'done',
      board: BOARD,
      bootloader: { kind: 'katapult', address: '0x08000000', launchAddress: '0x08008000', transport: 'usb' },
      application: {
        kind: 'klipper',
        version: OLD_KLIPPER,
        address: '0x08008000',
        linkAddress: '0x08008000',
        sizeBytes: 44516,
        integrity: 'whole',
        why: null,
      },
      through: 'rom',
      chip: { mcu: 'stm32f446xx', flashSizeBytes: 524288 },
      protection: { read: false, writeSectors: null },
      map: expect.arrayContaining([
        { address: '0x08008000', end: '0x08012de3', sizeBytes: 44516, holds: 'application' },
      ]),
      free: { sectors: expect.any(Array), bytes: expect.any(Number) },
      unreadBytes: 0,
      lastFlash: null,
      unfinished: null,
      deadJob: null,
      notes: expect.any(Array),
    });
  });
});

test('unprotect: refused without its word, done with it, and what to do next is said', async () => {
  const bench = await createBench({ state: 'read-protected' });
  const asked = ['unprotect', '--board', BOARD, ...ON, '--confirm'];
  const refused = await run([...asked, 'heaters_unplugged', '--json'], bench);
  expect([refused.code, one(refused.out).error.code]).toEqual([3, 'needs-confirmation']);
  expect(bench.flash.readProtected).toBe(true);
  const done = await run([...asked, 'heaters_unplugged,erase_everything'], bench);
  expect([done.code, done.out]).toEqual([0, expect.stringMatching(/no longer read-protected, and blank/)]);
  expect(done.out).toMatch(/Flash what belongs at 0x08000000[^]*octopus restore --board \S+ --file/);
  expect(bench.flash.readProtected).toBe(false);
});
