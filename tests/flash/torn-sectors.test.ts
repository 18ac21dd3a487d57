// An H7 whose flash word was cut off by a power cut hangs when it is read: it is reset, read around, erased and written.
import { describe, expect, test } from '@jest/globals';
import { recognizeAt } from '../../src/firmware/recognize.ts';
import { readBackup } from '../../src/flash/backup.ts';
import { TornSectors } from '../../src/flash/torn-sectors.ts';
import { OctopusError, hex } from '../../src/errors.ts';
import type { Bootloader } from '../../src/flash/bootloader.ts';
import { OLD_KLIPPER } from '../../src/virtual/forge.ts';
import { expectSafe, failureOf, flashBytes, klipperFor, setUp } from '../support/bench.ts';

/** DFU 1.1: DNLOAD; AN3156: data blocks from 2 on. */
const isDataBlock = (setup: { bRequest: number; wValue: number }) =>
  setup.bRequest === 1 && setup.wValue >= 2;

test('power cut in a write, then the next flash: the torn sector is read around and mended', async () => {
  const rig = await setUp({ board: 'octopus-pro-h723', rom: { eccRead: 'hang' } });
  await flashBytes(rig, klipperFor(rig, { version: 'v0.13.0-1', seed: 1 }));
  let blocks = 0;
  rig.bench.faults.beforeTransfer = (_n, setup) => {
    if (isDataBlock(setup)) blocks += 1;
    // A block of 1 KiB takes the chip about 10 ms from its first GETSTATUS on: the light goes out in the middle.
    if (blocks === 7 && setup.bRequest === 3) {
      blocks += 1;
      void rig.bench.clock.sleep(4).then(() => rig.bench.powerCut());
    }
    return undefined;
  };
  const failure = await failureOf(flashBytes(rig, klipperFor(rig, { version: 'v0.13.0-2', seed: 2 })));
  expect(failure).toMatchObject({ code: 'device-gone', onBoard: expect.stringContaining('half-written') });
  rig.bench.faults.beforeTransfer = undefined;
  rig.bench.powerOn();
  await rig.bench.settle();
  // The word under the pen when the light went out.
  const { applicationAddress } = rig.place.board;
  expect(rig.bench.flash.hasEccError(applicationAddress, 128 * 1024)).toBe(true);

  const again = await flashBytes(rig, klipperFor(rig, { version: 'v0.13.0-2', seed: 2 }));
  expect(again).toMatchObject({ state: 'done', verified: true, version: 'v0.13.0-2' });
  expect(again.notes.some((note) => note.includes('cannot be read'))).toBe(true);
  expect(rig.bench.flash.hasEccError(applicationAddress, 128 * 1024)).toBe(false);
  expectSafe(rig);
  rig.bench.dispose();
});

describe.each(['octopus-v1.1-f446', 'octopus-pro-h723'])('%s stops answering', (board) => {
  /** The n-th UPLOAD before or after the first data block gets no answer, once; returns the new image. */
  async function silentOnce(when: 'before' | 'after', state: 'used' | 'no-bootloader') {
    const rig = await setUp({ board, state });
    const cancel = new AbortController();
    let written = false;
    let silences = 0;
    rig.bench.faults.beforeTransfer = (_n, setup) => {
      written ||= isDataBlock(setup);
      const isUpload = setup.bRequest === 2 && setup.wLength > 64;
      if (!isUpload || silences > 0 || written !== (when === 'after')) return undefined;
      silences += 1;
      // Behind the last exit a cancel comes too late, however often the ROM is entered again.
      if (when === 'after') cancel.abort();
      return 'timeout';
    };
    const linkAddress = state === 'used' ? rig.place.board.applicationAddress : rig.place.board.mcu.flashBase;
    const image = klipperFor(rig, { version: 'v0.13.0-2', linkAddress });
    return { rig, result: await flashBytes(rig, image, {}, cancel.signal), silences: () => silences };
  }

  test.each(['used', 'no-bootloader'] as const)(
    'once in the read-back (%s): what was decided stands',
    async (state) => {
      const { rig, result, silences } = await silentOnce('after', state);
      expect(silences()).toBe(1);
      expect(result).toMatchObject({
        state: 'done',
        verified: true,
        previousVersion: OLD_KLIPPER,
        backup: { what: 'whole', alreadyKept: false },
      });
      // One copy, of the old firmware: none of our own half-written work.
      expect((await rig.kit.store.list('backups')).length).toBe(2);
      expect(rig.bench.board.klipper?.version).toBe('v0.13.0-2');
      expectSafe(rig);
      rig.bench.dispose();
    },
  );

  test('once in the first look: the copy is whole all the same', async () => {
    const { rig, result } = await silentOnce('before', 'used');
    expect(result).toMatchObject({ state: 'done', previousVersion: OLD_KLIPPER });
    const { bytes } = await readBackup(rig.kit, board, result.backup?.id ?? '');
    const at = rig.place.board.applicationAddress - rig.place.board.mcu.flashBase;
    expect(recognizeAt(bytes.subarray(at), rig.place.board.applicationAddress).version).toBe(OLD_KLIPPER);
    expect(recognizeAt(bytes, rig.place.board.mcu.flashBase).kind).toBe('stock-bootloader');
    expectSafe(rig);
    rig.bench.dispose();
  });
});

describe('reading around', () => {
  const KIB = 1024;
  const sectors = [0, 1, 2, 3].map((index) => ({
    address: 0x08000000 + index * 128 * KIB,
    sizeBytes: 128 * KIB,
  }));
  const asked: string[] = [];
  const chip: Bootloader = {
    kind: 'rom',
    identity: {
      mcu: '',
      busPath: '',
      uid: null,
      flashSizeBytes: 512 * KIB,
      transferSizeBytes: 1024,
      launchAddress: null,
      version: null,
    },
    read: async (address, length) => {
      asked.push(`${hex(address)}+${length / KIB}`);
      if (address <= 0x08025000 && 0x08025000 < address + length) {
        throw new OctopusError('flash-unreadable', 'silent', { place: hex(0x08025000), advice: '-' });
      }
      return new Uint8Array(length).fill(0x55);
    },
    write: async () => {},
    boot: async () => {},
    close: async () => {},
  };

  test('a hang teaches its sector; the next read leaves it out; mended, it counts again', async () => {
    const torn = new TornSectors(sectors);
    const hang = () => failureOf(torn.read(chip, 0x08000000, 512 * KIB));
    // Once may be the cable.
    expect(await hang()).toMatchObject({ code: 'flash-unreadable' });
    expect([torn.lessons, torn.addresses]).toEqual([1, []]);
    expect(await hang()).toMatchObject({ code: 'flash-unreadable' });
    expect([torn.lessons, torn.addresses]).toEqual([2, [0x08020000]]);
    asked.length = 0;
    const bytes = await torn.read(chip, 0x08000000, 512 * KIB);
    expect(asked).toEqual(['0x08000000+128', '0x08040000+256']);
    expect([bytes[0], bytes[128 * KIB], bytes[256 * KIB]]).toEqual([0x55, 0x00, 0x55]);
    expect(torn.has({ address: 0x08020000 })).toBe(true);
    torn.mended([{ address: 0x08020000 }]);
    expect(torn.addresses).toEqual([]);
    // A third silence, after it was erased and written, teaches nothing any more.
    expect(await hang()).toMatchObject({ code: 'flash-unreadable' });
    expect(torn.lessons).toBe(2);
  });
});
