// The ROM is left without a wire: DfuSe leave, as an F4 and an H7 take it.
import { describe, expect, test } from '@jest/globals';
import { Stopwatch } from '../../src/flash/stopwatch.ts';
import { visitBootloader } from '../../src/flash/visit.ts';
import { findWayIn } from '../../src/flash/way-in.ts';
import { usbKind, waitForUsb } from '../../src/flash/watch-usb.ts';
import { setUp, type TestBench } from '../support/bench.ts';

/** Enters the ROM, leaves it by `boot`, and says what came to the bus then; the walk's own reset comes after that. */
async function bootFromRom(rig: TestBench, address: number, before: () => void = () => {}) {
  const order = { place: rig.place, confirm: ['cold', 'still'] as const };
  const watch = new Stopwatch(rig.kit.clock, () => {});
  return visitBootloader(
    rig.kit,
    order,
    await findWayIn(rig.kit, order, 'rom', watch),
    watch,
    undefined,
    async (chip, { stay }) => {
      expect([chip.kind, chip.identity.launchAddress, chip.identity.version]).toEqual(['rom', null, null]);
      before();
      await stay.listen(chip).boot(address);
      const seen = await waitForUsb(
        rig.kit,
        (now) => now.find((device) => usbKind(device) === 'klipper'),
        5000,
      );
      return seen?.product;
    },
    async (product) => product,
  );
}

describe.each([
  ['octopus-v1.1-f446', {}],
  ['octopus-pro-h723', {}],
  ['octopus-pro-h723', { leave: 'at-dnload', leaveDelayMs: 0 }],
] as const)('%s %j', (board, rom) => {
  test('the application starts', async () => {
    const rig = await setUp({ board, rom });
    const product = await bootFromRom(rig, rig.place.board.applicationAddress);
    expect(product).toBe(rig.place.board.mcu.name);
    rig.bench.dispose();
  });

  test('a chip that is gone before it is told: device-gone', async () => {
    const rig = await setUp({ board, rom });
    const booted = bootFromRom(rig, rig.place.board.applicationAddress, () => rig.bench.powerCut());
    await expect(booted).rejects.toMatchObject({ code: 'device-gone' });
    rig.bench.dispose();
  });
});

test('an address outside the flash is refused by the ROM', async () => {
  const rig = await setUp();
  await expect(bootFromRom(rig, 0x20000000 + 0x100000)).rejects.toMatchObject({ code: 'dfu-status' });
  rig.bench.dispose();
});
