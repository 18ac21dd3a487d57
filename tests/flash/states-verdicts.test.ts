// The two verdicts after a boot: the board's, which can fail the job, and the printer's, which cannot.
import { describe, expect, test } from '@jest/globals';
import { OctopusError } from '../../src/errors.ts';
import { flash } from '../../src/flash/flash.ts';
import type { Phase } from '../../src/flash/report.ts';
import { expectSafe, flashBytes, klipperFor, orderFor, setUp, type TestBench } from '../support/bench.ts';

const NEW = 'v0.13.0-1-gabcdef0';
const KLIPPER_USB = { vendorId: 0x1d50, productId: 0x614e };

describe('what the verdicts say', () => {
  test('another board of the printer is outdated: done, but the printer is not ready', async () => {
    const rig = await setUp();
    rig.bench.printer.notReady = "mcu 'EBBCan': Unable to connect";
    expect(await flashBytes(rig, klipperFor(rig))).toMatchObject({
      state: 'done',
      verified: true,
      printer: 'not_ready',
      printerReason: expect.stringContaining('EBBCan'),
    });
    expect(rig.bench.board.klipper?.version).toBe(NEW);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('printer.cfg still names the serial port: done, not ready, and no rollback', async () => {
    const rig = await setUp();
    const result = await flashBytes(rig, klipperFor(rig, { transport: 'can' }));
    expect(result).toMatchObject({ state: 'done', printer: 'not_ready' });
    expect(rig.bench.board.klipper).toMatchObject({ version: NEW, transport: 'can' });
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('built for another crystal: it never shows itself, which is no success', async () => {
    const rig = await setUp();
    const wrong = klipperFor(rig, { crystalHz: 25_000_000 });
    await expect(flashBytes(rig, wrong)).rejects.toMatchObject({
      code: 'no-boot',
      advice: expect.stringMatching(/crystal/),
      place: expect.stringMatching(/^USB 1-/),
      onBoard: expect.stringMatching(/did not come back/),
    });
    expectSafe(rig);
    expect(await flashBytes(rig, klipperFor(rig))).toMatchObject({ state: 'done', printer: 'ready' });
    expectSafe(rig);
    rig.bench.dispose();
  });

  test.each<[string, Phase, (rig: TestBench) => void, string, string]>([
    [
      'another version than the one written',
      'boot',
      ({ bench, place }) =>
        bench.flash.load(
          place.board.applicationAddress,
          klipperFor({ place }, { version: 'v9.9.9-somebody-else', seed: 5 }),
        ),
      'wrong-version',
      'v9.9.9-somebody-else',
    ],
    [
      'another board in the same socket',
      'confirm',
      ({ bench }) => {
        bench.unplug();
        const { busPath } = bench.board.data;
        bench.addDevice({ busPath, ...KLIPPER_USB, product: 'stm32f407xx', tty: true });
      },
      'wrong-device',
      'stm32f407xx',
    ],
    ['nothing, for the cable was pulled', 'confirm', ({ bench }) => bench.unplug(), 'no-boot', 'nothing'],
    [
      'its Katapult, because the application was lost',
      'boot',
      ({ bench, place }) => bench.flash.load(place.board.applicationAddress, new Uint8Array(16).fill(0xff)),
      'no-boot',
      'Katapult',
    ],
  ])('what comes back is %s', async (_name, phase, meddle, code, message) => {
    const rig = await setUp({ state: 'katapult' });
    const ended = flash(rig.kit, orderFor(rig, klipperFor(rig)), (event) => {
      if (event.kind === 'phase' && event.phase === phase) meddle(rig);
    });
    await expect(ended).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
      advice: expect.stringMatching(/\w/),
      place: expect.stringMatching(/^(USB 1-|\/dev\/)/),
      onBoard: expect.stringMatching(/not seen to run/),
    });
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('Moonraker goes away behind the write: the flash is done all the same', async () => {
    const rig = await setUp();
    const { board, printer } = rig.bench;
    board.onRunning = () => {
      if (board.running.kind === 'klipper') printer.unreachable = true;
    };
    const result = await flashBytes(rig, klipperFor(rig));
    expect(result).toMatchObject({ state: 'done', verified: true, printer: 'not_ready' });
    expect(result.notes).toContainEqual(expect.stringMatching(/Start it by hand/));
    rig.bench.dispose();
  });
});

test('Klipper could not be started again: the flash is done, says why it stands still, and waits for nobody', async () => {
  const rig = await setUp();
  const { printer } = rig.bench;
  const start = printer.startKlipper.bind(printer);
  printer.startKlipper = async () => {
    throw new OctopusError('printer-unreachable', 'Moonraker is being updated', { advice: 'Wait for it.' });
  };
  let asked = 0;
  const verdict = printer.verdict.bind(printer);
  printer.verdict = (timeoutMs) => {
    asked += 1;
    return verdict(timeoutMs);
  };
  expect(await flashBytes(rig, klipperFor(rig))).toMatchObject({
    state: 'done',
    verified: true,
    printer: 'not_ready',
    printerReason: expect.stringMatching(/could not be started: Moonraker is being updated/),
    notes: expect.arrayContaining([expect.stringMatching(/Start it by hand/)]),
  });
  expect(asked).toBe(0);
  await start();
  expectSafe(rig);
  rig.bench.dispose();
});
