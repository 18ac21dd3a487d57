// Another chip than the board file promises: refused before anything is erased, by its ROM and by what it called itself.
import { describe, expect, test } from '@jest/globals';
import { boardByName } from '../../src/boards/boards.ts';
import { OctopusError } from '../../src/errors.ts';
import type { Bootloader } from '../../src/flash/bootloader.ts';
import { identifyChip } from '../../src/flash/identity.ts';
import { preflight } from '../../src/flash/preflight.ts';
import { replaceImage } from '../../src/flash/replace-image.ts';
import { Stopwatch } from '../../src/flash/stopwatch.ts';
import { DfuStay } from '../../src/flash/dfu-stay.ts';
import { TornSectors } from '../../src/flash/torn-sectors.ts';
import { parseMemoryName } from '../../src/protocol/dfu-descriptor.ts';
import { expectSafe, failureOf, flashBytes, klipperFor, setUp, type TestBench } from '../support/bench.ts';

/** A bench with one board, and a walk that believes in another. */
async function mistaken(real: string, believed: string, state: 'used' | 'blank'): Promise<TestBench> {
  const rig = await setUp({ board: real, state });
  return { ...rig, place: { ...rig.place, board: boardByName(believed) } };
}

describe.each([
  ['octopus-v1.1-f429', 'octopus-v1.1-f446'],
  ['octopus-pro-h723', 'octopus-v1.1-f446'],
  ['octopus-v1.1-f446', 'octopus-pro-h723'],
  ['octopus-v1.1-f446', 'octopus-v1.1-f429'],
])('an %s taken for an %s', (real, believed) => {
  test.each(['used', 'blank'] as const)('%s', async (state) => {
    const rig = await mistaken(real, believed, state);
    const failure = await failureOf(flashBytes(rig, klipperFor(rig)));
    expect(failure).toMatchObject({ code: 'wrong-mcu', onBoard: expect.stringContaining('not changed') });
    expect(rig.bench.flash.statistics.eraseMs).toBe(0);
    expectSafe(rig);
    rig.bench.dispose();
  });
});

describe('what the registers say', () => {
  const { mcu } = boardByName('octopus-pro-h723');
  const memoryName = '@Internal Flash   /0x08000000/8*128Kg';
  const description = { memoryName, sectors: parseMemoryName(memoryName), transferSizeBytes: 1024 };
  const info = { busPath: '1-1', deviceNumber: 4, vendorId: 0x0483, productId: 0xdf11, bcdDevice: 0x0200 };
  const refuse = () => {
    throw new OctopusError('dfu-status', 'errTARGET', { advice: '-' });
  };

  test('an H723ZE claims 1 MB: the size register counts, and so does the board file', async () => {
    const uid = Uint8Array.from({ length: 12 }, (_, index) => index + 1);
    const read = async (address: number) =>
      address === mcu.flashSizeAddress ? Uint8Array.of(0x00, 0x02) : uid;
    const identity = await identifyChip(mcu, info, description, read, async () => {});
    expect(identity).toMatchObject({
      flashSizeBytes: 512 * 1024,
      uid: '0102030405060708090a0b0c',
      transferSizeBytes: 1024,
    });
  });

  test('a smaller chip than the board file says', async () => {
    const read = async () => Uint8Array.of(0x00, 0x01);
    expect(await identifyChip(mcu, info, description, read, async () => {})).toMatchObject({
      flashSizeBytes: 256 * 1024,
    });
  });

  test('a ROM that refuses them is brought back to idle each time, and the id stays unknown', async () => {
    let recovered = 0;
    const identity = await identifyChip(
      mcu,
      info,
      description,
      async () => refuse(),
      async () => {
        recovered += 1;
      },
    );
    expect(identity).toMatchObject({ uid: null, flashSizeBytes: 512 * 1024 });
    expect(recovered).toBe(2);
  });
});

test('a chip with less flash than its board file promises: an image that would overrun it is refused unread', async () => {
  const rig = await setUp();
  const plan = preflight(
    rig.place.board,
    { name: 'klipper.bin', bytes: klipperFor(rig) },
    { force: [], replaceBootloader: false },
  );
  const touched: string[] = [];
  const chip: Bootloader = {
    kind: 'rom',
    identity: {
      mcu: 'stm32f446xx',
      busPath: '1-1',
      uid: null,
      flashSizeBytes: 64 * 1024,
      transferSizeBytes: 2048,
      launchAddress: null,
      version: null,
    },
    read: async () => {
      touched.push('read');
      return new Uint8Array(0);
    },
    write: async () => {
      touched.push('write');
    },
    boot: async () => {},
    close: async () => {},
  };
  const options = { force: [], replaceBootloader: false, verify: true };
  const watch = new Stopwatch(rig.kit.clock, () => {});
  const failure = await failureOf(
    replaceImage(
      rig.kit,
      plan,
      options,
      watch,
    )(chip, {
      torn: new TornSectors([]),
      stay: new DfuStay(rig.kit.clock, 0, false),
      lastExit: () => {},
      application: () => 'unknown',
    }),
  );
  expect(failure).toMatchObject({ code: 'image-overruns-flash', place: '0x08010000' });
  expect(touched).toEqual([]);
  rig.bench.dispose();
});
