// The board's verdict fails: what ran before is written back in the same job, and only where the image is to blame.
import { describe, expect, test } from '@jest/globals';
import { flash } from '../../src/flash/flash.ts';
import type { Phase } from '../../src/flash/report.ts';
import { readReplacement } from '../../src/flash/replacement.ts';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import { OLD_KLIPPER } from '../../src/virtual/forge.ts';
import {
  expectSafe,
  failureOf,
  flashBytes,
  klipperFor,
  orderFor,
  setUp,
  TWO_BOARDS,
  type TestBench,
} from '../support/bench.ts';
import { wholeFlash } from '../support/untouched.ts';
import { setUpKnown } from '../support/walks.ts';

const isOpen = async (rig: TestBench) => (await readReplacement(rig.kit, rig.place.board.name)) !== undefined;
/** It never comes to USB: its clock is wrong. */
const mute = (rig: TestBench) =>
  klipperFor(rig, { crystalHz: rig.place.board.mcu.name === 'stm32h723xx' ? 8_000_000 : 25_000_000 });

describe.each(TWO_BOARDS)('%s', (board) => {
  test.each<[string, BenchOptions]>([
    ['through the ROM', {}],
    ['through Katapult', { state: 'katapult' }],
    ['through the ROM, everything slow', { times: 'worst' }],
  ])('built for another crystal, %s: the old firmware is back, byte for byte', async (_way, options) => {
    const rig = await setUpKnown({ board, ...options });
    const before = wholeFlash(rig);
    const old = rig.bench.board.klipper?.version;
    const failure = await failureOf(flashBytes(rig, mute(rig)));
    expect(failure).toMatchObject({
      code: 'no-boot',
      advice: expect.stringContaining('crystal'),
      onBoard: expect.stringMatching(/was written back, read back, and runs again: Klipper v0\.1\d/),
    });
    expect(rig.bench.board.klipper?.version).toBe(old);
    expect(wholeFlash(rig).equals(before)).toBe(true);
    expect(await isOpen(rig)).toBe(false);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('a blank board has nothing to go back to: the image stays, and is owed', async () => {
    const rig = await setUp({ board, state: 'blank' });
    const { flashBase } = rig.place.board.mcu;
    const image = klipperFor(rig, { linkAddress: flashBase, crystalHz: 16_000_000 });
    expect(await failureOf(flashBytes(rig, image))).toMatchObject({
      code: 'no-boot',
      onBoard: expect.stringContaining('it was not seen to run yet'),
    });
    expect(Buffer.from(rig.bench.flash.peek(flashBase, image.length)).equals(Buffer.from(image))).toBe(true);
    expect(await isOpen(rig)).toBe(true);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('a bootloader that was replaced comes back with its application', async () => {
    const rig = await setUpKnown({ board });
    const before = wholeFlash(rig);
    const image = klipperFor(rig, { linkAddress: rig.place.board.mcu.flashBase, crystalHz: 16_000_000 });
    const failure = await failureOf(flashBytes(rig, image, { replaceBootloader: true }));
    expect(failure).toMatchObject({ code: 'no-boot', onBoard: expect.stringContaining('runs again') });
    expect(wholeFlash(rig).equals(before)).toBe(true);
    expect(rig.bench.board.klipper?.version).toBe(OLD_KLIPPER);
    expectSafe(rig);
    rig.bench.dispose();
  });
});

test('another version answers than the one written: the old one is back', async () => {
  const rig = await setUpKnown();
  const { applicationAddress } = rig.place.board;
  const other = klipperFor(rig, { version: 'v9.9.9-somebody-else', seed: 5 });
  let isSwapped = false;
  const failure = await failureOf(
    flash(rig.kit, orderFor(rig, klipperFor(rig)), (event) => {
      if (isSwapped || event.kind !== 'phase' || event.phase !== 'boot') return;
      isSwapped = true;
      rig.bench.flash.load(applicationAddress, other);
    }),
  );
  expect(failure).toMatchObject({ code: 'wrong-version', onBoard: expect.stringContaining('runs again') });
  expect(rig.bench.board.klipper?.version).toBe(OLD_KLIPPER);
  expectSafe(rig);
  rig.bench.dispose();
});

describe('no fault of the image', () => {
  /** How often something was erased. */
  const erases = ({ steps }: TestBench) => steps.filter(({ kind }) => kind === 'erase').length;

  test.each<[string, Phase, string, (rig: TestBench) => void]>([
    ['the BOOT0 jumper is fitted', 'boot', 'no-boot', ({ bench }) => bench.lines.setJumper(true)],
    [
      'another board in the same port',
      'confirm',
      'wrong-device',
      ({ bench }) => {
        bench.unplug();
        const { busPath } = bench.board.data;
        bench.addDevice({ busPath, vendorId: 0x1d50, productId: 0x614e, product: 'stm32f407xx', tty: true });
      },
    ],
  ])('%s: it is not written back', async (_name, at, code, disturb) => {
    const rig = await setUpKnown();
    let erasedBefore: number | undefined;
    const failure = await failureOf(
      flash(rig.kit, orderFor(rig, klipperFor(rig)), (event) => {
        if (erasedBefore !== undefined || event.kind !== 'phase' || event.phase !== at) return;
        erasedBefore = erases(rig);
        disturb(rig);
      }),
    );
    expect(failure.code).toBe(code);
    expect(failure.onBoard ?? '').not.toContain('written back');
    expect(erases(rig)).toBe(erasedBefore);
    expect(await isOpen(rig)).toBe(true);
    rig.bench.dispose();
  });
});

test('the cable is pulled in the middle of it: both are said, and it is owed', async () => {
  const rig = await setUpKnown();
  let boots = 0;
  const recorder: typeof rig.kit.recorder = {
    before: async (step) => {
      await rig.kit.recorder.before(step);
      if (step.kind === 'boot') boots += 1;
      if (step.kind === 'erase' && boots === 1) rig.bench.unplug();
    },
  };
  const failure = await failureOf(flash({ ...rig.kit, recorder }, orderFor(rig, mute(rig)), () => {}));
  expect(failure).toMatchObject({
    code: 'no-boot',
    onBoard: expect.stringContaining('What ran before could not be brought back'),
  });
  expect(await isOpen(rig)).toBe(true);
  expectSafe(rig);
  rig.bench.dispose();
});
