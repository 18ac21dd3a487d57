// Whatever somebody has left on the board, and whatever kind of firmware comes: what the flash says at its end is true.
import { describe, expect, test } from '@jest/globals';
import type { BoardState } from '../../src/virtual/board-data.ts';
import {
  forgeKatapult,
  forgeStockBootloader,
  KATAPULT_VERSION,
  OLD_KLIPPER,
} from '../../src/virtual/forge.ts';
import { expectSafe, flashBytes, klipperFor, setUp, TWO_BOARDS, type TestBench } from '../support/bench.ts';
import { wholeFlash } from '../support/untouched.ts';

const BASE = 0x0800_0000;
const NEW = 'v0.13.0-1-gabcdef0';
const STOCK = 'stock bootloader';
const KATAPULT = `Katapult ${KATAPULT_VERSION}`;

interface Resident {
  /** What the image is linked behind; null: it is linked at the flash's start. */
  readonly bootloader: string | null;
  readonly previousVersion: string | null;
}
/** What a protected chip does to a flash is in protection.test.ts. */
type Open = Exclude<BoardState, 'read-protected' | 'write-protected'>;
const STATES: Readonly<Record<Open, Resident>> = {
  used: { bootloader: STOCK, previousVersion: OLD_KLIPPER },
  bridge: { bootloader: STOCK, previousVersion: OLD_KLIPPER },
  'bridge-katapult': { bootloader: KATAPULT, previousVersion: OLD_KLIPPER },
  'can-node': { bootloader: KATAPULT, previousVersion: OLD_KLIPPER },
  'can-node-stock': { bootloader: STOCK, previousVersion: OLD_KLIPPER },
  // Its dictionary is torn, so nobody can tell.
  bricked: { bootloader: STOCK, previousVersion: null },
  katapult: { bootloader: KATAPULT, previousVersion: OLD_KLIPPER },
  'katapult-empty': { bootloader: KATAPULT, previousVersion: null },
  'no-bootloader': { bootloader: null, previousVersion: OLD_KLIPPER },
  blank: { bootloader: null, previousVersion: null },
};
const KINDS = { usb: /^Klipper v0\.13\S+ on \/dev\/tty/, bridge: /bridge on USB 1-/, can: /not on USB/ };

describe.each(TWO_BOARDS)('%s', (board) => {
  const table = Object.entries(STATES).flatMap(([state, resident]) =>
    Object.entries(KINDS).map(([transport, boot]) => ({
      state: state as BoardState,
      transport: transport as keyof typeof KINDS,
      resident,
      boot,
    })),
  );
  test.each(table)(
    '$transport onto $state',
    async ({ state, transport, boot, resident: { bootloader, previousVersion } }) => {
      const rig = await setUp({ board, state });
      rig.bench.printer.wire = transport === 'usb' ? 'serial' : 'can';
      const linkAddress = bootloader === null ? BASE : rig.place.board.applicationAddress;
      const before = wholeFlash(rig);
      const result = await flashBytes(rig, klipperFor(rig, { transport, linkAddress }));
      expect(result).toMatchObject({
        state: 'done',
        board,
        verified: true,
        previousVersion,
        version: NEW,
        bootloader,
        boot: expect.stringMatching(boot),
        printer: 'ready',
        image: { kind: 'klipper', transport, linkAddress },
      });
      expect(result.timings).toMatchObject({ enter: expect.any(Number), write: expect.any(Number) });
      expect(rig.bench.board.klipper).toMatchObject({ version: NEW, transport });
      // What lies before the image is not touched.
      const from = linkAddress - BASE;
      expect(wholeFlash(rig).subarray(0, from).equals(before.subarray(0, from))).toBe(true);
      expectSafe(rig);
      rig.bench.dispose();
    },
  );
});

/** Which program a reset starts now. */
async function runsAfterPowerCycle({ bench }: TestBench): Promise<string | undefined> {
  bench.powerCut();
  await bench.clock.sleep(1000);
  bench.powerOn();
  await bench.settle();
  return bench.board.klipper?.version;
}

describe.each(TWO_BOARDS)('%s: bootloaders', (board) => {
  const replaced = { replaceBootloader: true };

  test('Katapult over the stock bootloader, twice, and the application behind it still boots', async () => {
    const rig = await setUp({ board });
    const mcu = rig.place.board.mcu.name;
    const result = await flashBytes(rig, forgeKatapult({ mcu }), replaced);
    expect(result).toMatchObject({
      state: 'done',
      verified: true,
      version: KATAPULT_VERSION,
      bootloader: null,
      boot: expect.stringContaining(OLD_KLIPPER),
      printer: 'ready',
    });
    expect(await runsAfterPowerCycle(rig)).toBe(OLD_KLIPPER);
    // The second time the chip is known, and only a part of it is read.
    const newer = forgeKatapult({ mcu, version: 'v0.0.2-1-g1234567' });
    expect(await flashBytes(rig, newer, replaced)).toMatchObject({
      state: 'done',
      previousVersion: KATAPULT_VERSION,
      version: 'v0.0.2-1-g1234567',
      boot: expect.stringContaining(OLD_KLIPPER),
      backup: { what: 'region' },
    });
    expect(await runsAfterPowerCycle(rig)).toBe(OLD_KLIPPER);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('the stock bootloader over Katapult, and the application behind it still boots', async () => {
    const rig = await setUp({ board, state: 'katapult' });
    const stock = forgeStockBootloader({ mcu: rig.place.board.mcu.name });
    expect(await flashBytes(rig, stock, replaced)).toMatchObject({
      state: 'done',
      verified: true,
      previousVersion: KATAPULT_VERSION,
      version: null,
      boot: expect.stringContaining(OLD_KLIPPER),
      printer: 'ready',
    });
    expect(await runsAfterPowerCycle(rig)).toBe(OLD_KLIPPER);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('Katapult onto a blank chip shows itself, and takes a Klipper behind it', async () => {
    const rig = await setUp({ board, state: 'blank' });
    const katapult = forgeKatapult({ mcu: rig.place.board.mcu.name });
    expect(await flashBytes(rig, katapult)).toMatchObject({
      state: 'done',
      boot: expect.stringMatching(/^Katapult on USB/),
      printer: 'not_ready',
    });
    expect(await flashBytes(rig, klipperFor(rig))).toMatchObject({ bootloader: KATAPULT, printer: 'ready' });
    expect(await runsAfterPowerCycle(rig)).toBe(NEW);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('Katapult for CAN onto a blank chip: nothing on USB, and nothing wrong', async () => {
    const rig = await setUp({ board, state: 'blank' });
    const katapult = forgeKatapult({ mcu: rig.place.board.mcu.name, transport: 'can' });
    const boot = expect.stringMatching(/not on USB/);
    expect(await flashBytes(rig, katapult)).toMatchObject({ state: 'done', boot });
    rig.bench.dispose();
  });
});
