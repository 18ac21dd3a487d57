// A chip whose read protection is on: every walk says so and leaves it as it is; only octopus.unprotect takes it away, and
// the whole chip with it.
import { describe, expect, test } from '@jest/globals';
import { dfuEnter } from '../../src/flash/dfu-enter.ts';
import { takeBackup } from '../../src/flash/take-backup.ts';
import { unprotect } from '../../src/flash/unprotect.ts';
import type { Confirmation } from '../../src/flash/gate.ts';
import type { FlashEvent } from '../../src/flash/report.ts';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import { forgeStockBootloader, OLD_KLIPPER } from '../../src/virtual/forge.ts';
import { kindRomSettings, type RomSettings } from '../../src/virtual/silicon/rom-settings.ts';
import {
  expectSafe,
  failureOf,
  flashBytes,
  klipperFor,
  setUp,
  TWO_BOARDS,
  type TestBench,
} from '../support/bench.ts';
import { expectUntouched, wholeFlash } from '../support/untouched.ts';

const BASE = 0x0800_0000;
const confirm: readonly Confirmation[] = ['cold', 'still'];
const quiet = () => {};

/** The DfuSe commands that the chip was sent. */
function commandsOf({ bench }: TestBench): number[] {
  const commands: number[] = [];
  bench.faults.beforeTransfer = (_n, { bRequest, wValue }, data) => {
    if (bRequest === 1 && wValue === 0 && data[0] !== undefined) commands.push(data[0]);
    return undefined;
  };
  return commands;
}

const take = (rig: TestBench, order: { confirm?: readonly Confirmation[]; wires?: false } = {}) => {
  const place = order.wires === false ? { ...rig.place, pins: undefined } : rig.place;
  return unprotect(rig.kit, { place, confirm: order.confirm ?? confirm }, quiet);
};

describe.each(TWO_BOARDS)('%s', (board) => {
  const locked = (options: BenchOptions = {}) => setUp({ board, state: 'read-protected', ...options });

  // Where it shows first differs: the chip's registers, SET_ADDRESS, or a STALL of the first block (AN2662 4.4.1).
  const readings: Record<string, Partial<RomSettings>> = {
    'at the registers': { systemInfo: 'readable', setAddressWhenProtected: 'accepted' },
    'at SET_ADDRESS': { setAddressWhenProtected: 'errVENDOR' },
    'at the first block': { setAddressWhenProtected: 'accepted' },
    'with every other reading': kindRomSettings(board.includes('h723') ? 'stm32h723xx' : 'stm32f446xx'),
  };
  describe.each(Object.entries(readings))('%s', (_name, rom) => {
    test.each<[string, (rig: TestBench) => Promise<unknown>]>([
      ['flash', (rig) => flashBytes(rig, klipperFor(rig))],
      ['backup', ({ kit, place }) => takeBackup(kit, { place, confirm }, quiet)],
    ])('%s', async (_walk, walk) => {
      const rig = await locked({ rom });
      const commands = commandsOf(rig);
      const failure = await expectUntouched(rig, () => walk(rig), {
        code: 'read-protected',
        advice: /Nothing on it can be read.*erases the whole chip, bootloader included.*octopus unprotect/,
        visited: true,
      });
      expect(failure.message).toMatch(/read-protected/);
      expect(commands).not.toContain(0x92);
      expect(rig.bench.flash.readProtected).toBe(true);
      expect(await rig.kit.store.list('backups')).toEqual([]);
      rig.bench.dispose();
    });
  });

  test('other tools may have it all the same', async () => {
    const rig = await locked();
    const visit = await dfuEnter(rig.kit, { place: rig.place, confirm, holdMs: 1000 }, quiet);
    expect(visit).toMatchObject({ flashSizeBytes: 512 * 1024, leftBecause: 'time' });
    expectSafe(rig);
    rig.bench.dispose();
  });

  test.each<Partial<RomSettings>>([{}, { leaveWithoutAddress: 'flash-base' }])(
    'without wires it leaves its ROM where the ROM starts without an address (%j)',
    async (rom) => {
      const rig = await locked({ rom });
      const notes: string[] = [];
      const place = { ...rig.place, pins: undefined };
      const hear = (event: FlashEvent) => void (event.kind === 'note' && notes.push(event.text));
      const failure = await failureOf(takeBackup(rig.kit, { place, confirm }, hear));
      expect(failure.code).toBe('read-protected');
      await rig.bench.settle();
      const runs = rom.leaveWithoutAddress === 'flash-base' ? OLD_KLIPPER : undefined;
      expect(rig.bench.board.klipper?.version).toBe(runs);
      expect(notes.some((note) => note.includes('press its reset button'))).toBe(runs === undefined);
      expectSafe(rig);
      rig.bench.dispose();
    },
  );

  describe('octopus.unprotect', () => {
    test.each<RomSettings['heldRequest']>(['dnload', 'first-getstatus', 'second-getstatus', 'none'])(
      'erases the whole chip, looks at it, and takes a bootloader and firmware (%s is held)',
      async (heldRequest) => {
        const rig = await locked({ rom: { heldRequest } });
        const commands = commandsOf(rig);
        const result = await take(rig);
        expect(result).toMatchObject({ isBlank: true, writeProtected: null, backup: null });
        expect(commands.filter((command) => command === 0x92)).toHaveLength(1);
        expect(rig.bench.flash.readProtected).toBe(false);
        expect(wholeFlash(rig).every((byte) => byte === 0xff)).toBe(true);
        expect(rig.bench.flash.statistics.massErases).toBe(1);
        expect(rig.steps).toContainEqual({ kind: 'erase', address: BASE, sizeBytes: 512 * 1024 });
        expectSafe(rig);
        // Nothing is waited for that cannot come: 16 s are the erase of an F4.
        expect(result.timings.total).toBeLessThan(24_000);

        const mcu = rig.place.board.mcu.name;
        expect(await flashBytes(rig, forgeStockBootloader({ mcu }))).toMatchObject({ state: 'done' });
        expect(await flashBytes(rig, klipperFor(rig))).toMatchObject({ state: 'done', printer: 'ready' });
        rig.bench.dispose();
      },
    );

    test.each<RomSettings['unprotectOfOpenChip']>(['mass-erase', 'nothing'])(
      'a chip that can be read is left alone (%s)',
      async (unprotectOfOpenChip) => {
        const rig = await setUp({ board, rom: { unprotectOfOpenChip } });
        const commands = commandsOf(rig);
        const work = () => take(rig);
        await expectUntouched(rig, work, {
          code: 'not-read-protected',
          advice: /nothing was erased/,
          visited: true,
        });
        expect(commands).not.toContain(0x92);
        rig.bench.dispose();
      },
    );

    test('the slowest chip is not cut off, although its ROM may drive heaters', async () => {
      const rig = await locked({ times: 'worst' });
      const heated = { ...rig, place: { ...rig.place, heaters: { kind: 'unknown' as const } } };
      const result = await take(heated, { confirm: [...confirm, 'heaters_unplugged'] });
      expect(result.isBlank).toBe(true);
      expect(rig.bench.flash.statistics.massErases).toBe(1);
      expectSafe(rig);
      rig.bench.dispose();
    });

    test('a chip that falls silent is not reset before it has erased itself (F415, community.st.com 0D50X00009XkgbYSAR)', async () => {
      const rig = await locked();
      let asked = 0;
      rig.bench.faults.beforeTransfer = (_n, { bRequest }, data) => {
        if (bRequest === 1 && data[0] === 0x92) asked = 1;
        return bRequest === 3 && asked > 0 && asked++ > 1 ? 'stall' : undefined;
      };
      rig.bench.usb.onChange(() => (asked = 0));
      expect(await take(rig)).toMatchObject({ isBlank: true });
      expect(rig.bench.flash.statistics.massErases).toBe(1);
      rig.bench.dispose();
    });

    test('write protection stays, and is said where the ROM tells of it', async () => {
      const rig = await locked({ rom: { otherAlts: 'readable' } });
      const sector = rig.place.board.mcu.sectors[0]?.address ?? 0;
      rig.bench.flash.writeProtected.add(sector);
      expect(await take(rig)).toMatchObject({ isBlank: true, writeProtected: [sector] });
      rig.bench.dispose();
    });

    test('without wires nobody looks whether it is blank', async () => {
      const rig = await locked();
      expect(await take(rig, { wires: false })).toMatchObject({
        isBlank: null,
        writeProtected: null,
        notes: expect.arrayContaining([expect.stringContaining('Nobody has looked')]),
      });
      expect(rig.bench.flash.readProtected).toBe(false);
      expectSafe(rig);
      rig.bench.dispose();
    });

    test('the power goes in the middle of it: the error says what is known, and the next one ends well', async () => {
      const rig = await locked();
      rig.bench.faults.beforeTransfer = (_n, { bRequest }, data) => {
        if (bRequest === 1 && data[0] === 0x92)
          void rig.bench.clock.sleep(1000).then(() => rig.bench.powerCut());
        return undefined;
      };
      const failure = await failureOf(take(rig));
      expect(failure.onBoard).toMatch(/erased.*octopus inspect/);
      expect(rig.bench.flash.readProtected).toBe(true);
      expectSafe(rig);
      rig.bench.faults.beforeTransfer = undefined;
      rig.bench.powerOn();
      expect(await take(rig)).toMatchObject({ isBlank: true });
      rig.bench.dispose();
    });

    test('cancelled before the word is given: nothing has happened', async () => {
      const rig = await locked();
      const cancel = new AbortController();
      let addresses = 0;
      rig.bench.faults.beforeTransfer = (_n, { bRequest }, data) => {
        // The registers', and that of the flash's start.
        if (bRequest === 1 && data[0] === 0x21 && ++addresses === 3) cancel.abort();
        return undefined;
      };
      const work = () => unprotect(rig.kit, { place: rig.place, confirm }, quiet, cancel.signal);
      await expectUntouched(rig, work, { code: 'cancelled', visited: true });
      expect(rig.bench.flash.readProtected).toBe(true);
      rig.bench.dispose();
    });
  });
});
