// The F4 ROM, memory. Status vectors are bStatus, bwPollTimeout (LE24), bState, iString: rebuilt in real-silicon.json.
import { describe, expect, test } from '@jest/globals';
import { kindRomSettings } from '../../../src/virtual/silicon/rom-settings.ts';
import { filled, hex, rig, UID, withAddress } from './rig.ts';

const BASE = 0x08000000;
const K = 1024;
const IDLE = '000000000200';
const DNLOAD_IDLE = '000000000500';
const BUSY_100 = '006400000400';
const BUSY_104 = '006800000400'; // real-silicon.json: "00 68 00 00 04 00"
const ERR_TARGET = '010000000a00';
const ERR_VENDOR = '0b0000000a00';

async function settled(options: Parameters<typeof rig>[1] = {}) {
  const table = rig('stm32f446xx', options);
  expect(await table.dfu.settle()).toBe(IDLE);
  return table;
}

describe('reading', () => {
  test('UPLOAD stalls after SET_ADDRESS until ABORT (td-p/308098, td-p/512170)', async () => {
    const { dfu, flash } = await settled();
    flash.load(BASE + 0x4000, Uint8Array.of(1, 2, 3, 4));
    await dfu.command(0, withAddress(0x21, BASE + 0x4000));
    expect(await dfu.upload(2, 4)).toBe('stall');
    await dfu.clrStatus();
    await dfu.aim(BASE + 0x4000);
    expect(await dfu.upload(2, 4)).toBe('01020304');
    expect(await dfu.getState()).toBe('09');
    expect(await dfu.abort()).toBe('');
  });

  test('wValue 0 lists the commands', async () => {
    const { dfu } = await settled();
    expect(await dfu.upload(0, 4)).toBe('00214192');
  });

  test('2048 bytes take 3 ms (fwupd#2057)', async () => {
    const { clock, dfu } = await settled();
    const start = clock.now();
    await dfu.upload(2, 2048);
    expect(clock.now() - start).toBeCloseTo(3);
  });

  test('a short block counts in its own length, or in wTransferSize (AN2662 section 4.4.1)', async () => {
    for (const [stride, expected] of [
      ['own-length', '10'],
      ['transfer-size', '20'],
    ] as const) {
      const { dfu, flash } = await settled({ settings: { blockStride: stride } });
      flash.load(BASE + 256, filled(256, 0x10));
      flash.load(BASE + 2048, filled(256, 0x20));
      await dfu.aim(BASE);
      expect((await dfu.upload(3, 256)).slice(0, 2)).toBe(expected);
      await dfu.abort();
      await dfu.aim(BASE + 0x8000);
      await dfu.command(3, filled(128, 0x33));
      const at = stride === 'own-length' ? BASE + 0x8080 : BASE + 0x8800;
      expect(flash.peek(at, 128)).toEqual(filled(128, 0x33));
    }
  });

  test('past the end it stalls, or comes short', async () => {
    const strict = await settled();
    await strict.dfu.aim(BASE + 512 * K - 16);
    expect(await strict.dfu.upload(2, 64)).toBe('stall');
    expect(await strict.dfu.getStatus()).toBe(ERR_TARGET);
    const kind = await settled({ settings: { uploadPastEnd: 'short' } });
    await kind.dfu.aim(BASE + 512 * K - 16);
    expect(await kind.dfu.upload(2, 64)).toBe('ff'.repeat(16));
    expect(await kind.dfu.getState()).toBe('02');
  });

  test('UID and flash size only where the setting opens them', async () => {
    const strict = await settled();
    expect(await strict.dfu.aim(0x1fff7a10)).toEqual([BUSY_104, ERR_TARGET]);
    const kind = await settled({ settings: kindRomSettings('stm32f446xx') });
    const read = async (address: number, length: number): Promise<string> => {
      await kind.dfu.aim(address);
      const answer = await kind.dfu.upload(2, length);
      await kind.dfu.abort();
      return answer;
    };
    expect(await read(0x1fff7a10, 12)).toBe(hex(UID));
    expect(await read(0x1fff7a22, 2)).toBe('0002'); // 512
    expect(await read(0x1fff7800, 16)).toBe('ff'.repeat(16)); // OTP
  });
});

describe('erasing and writing', () => {
  test('an address outside memory: dfuDNBUSY, then dfuERROR/errTARGET (F407, td-p/341906)', async () => {
    const { dfu } = await settled();
    expect(await dfu.command(0, withAddress(0x21, 0))).toEqual([BUSY_104, ERR_TARGET]);
    await dfu.clrStatus();
    expect(await dfu.command(0, withAddress(0x41, 0x20000000))).toEqual([BUSY_100, ERR_TARGET]);
  });

  test('an address inside a sector erases that sector', async () => {
    const { dfu, flash } = await settled();
    flash.load(BASE + 0x4000, filled(0x4000, 0));
    flash.load(BASE + 0x8000, filled(4, 0));
    expect(await dfu.command(0, withAddress(0x41, BASE + 0x7ffe))).toEqual([BUSY_100, DNLOAD_IDLE]);
    expect(flash.peek(BASE + 0x4000, 0x4000)).toEqual(filled(0x4000, 0xff));
    expect(flash.peek(BASE + 0x8000, 1)[0]).toBe(0);
  });

  test('an erase moves the address pointer, or leaves it', async () => {
    for (const eraseMovesPointer of [true, false]) {
      const { dfu, flash } = await settled({ settings: { eraseMovesPointer } });
      await dfu.command(0, withAddress(0x21, BASE));
      await dfu.command(0, withAddress(0x41, BASE + 0x4000));
      await dfu.command(2, filled(2, 0));
      expect(hex(flash.peek(BASE + (eraseMovesPointer ? 0x4000 : 0), 2))).toBe('0000');
    }
  });

  test('writing over old content ands with it and reports nothing', async () => {
    const { dfu, flash } = await settled();
    flash.load(BASE, filled(16, 0xf0));
    await dfu.command(0, withAddress(0x21, BASE));
    expect(await dfu.command(2, filled(16, 0x3c))).toEqual([BUSY_104, DNLOAD_IDLE]);
    expect(flash.peek(BASE, 16)).toEqual(filled(16, 0x30));
  });

  test('a mass erase says 100 ms and takes 16 s (dfu-util 47af500: up to 32 s)', async () => {
    const { clock, dfu, flash } = await settled();
    flash.load(BASE, filled(64, 0));
    const start = clock.now();
    expect(await dfu.command(0, Uint8Array.of(0x41))).toEqual([BUSY_100, DNLOAD_IDLE]);
    expect(clock.now() - start).toBeGreaterThan(16_000);
    expect(flash.peek(BASE, 64)).toEqual(filled(64, 0xff));
  });

  test('F407 erases everything and ends with errUNKNOWN (dfu-util b0feb54)', async () => {
    const { dfu, flash } = rig('stm32f407xx');
    await dfu.settle();
    flash.load(BASE, filled(64, 0));
    expect(await dfu.command(0, Uint8Array.of(0x41))).toEqual([BUSY_100, '0e0000000a00']);
    expect(flash.peek(BASE, 64)).toEqual(filled(64, 0xff));
  });

  test('F407ZE promises 1 MB and refuses the second half, or swallows it', async () => {
    const strict = rig('stm32f407xx');
    await strict.dfu.settle();
    expect(await strict.dfu.command(0, withAddress(0x41, BASE + 512 * K))).toEqual([BUSY_100, ERR_TARGET]);
    const silent = rig('stm32f407xx', { settings: { beyondFlash: 'silent' } });
    await silent.dfu.settle();
    await silent.dfu.command(0, withAddress(0x21, BASE + 512 * K));
    expect(await silent.dfu.command(2, filled(16, 0))).toEqual([BUSY_104, DNLOAD_IDLE]);
    await silent.dfu.abort();
    expect(await silent.dfu.upload(2, 16)).toBe('ff'.repeat(16));
  });

  test('a write-protected sector: "No error is returned" (AN2662 section 4.5.3), or errERASE', async () => {
    for (const [flashErrors, expected] of [
      ['silent', DNLOAD_IDLE],
      ['reported', '040000000a00'],
    ] as const) {
      const { dfu, flash } = await settled({ settings: { flashErrors } });
      flash.load(BASE, filled(4, 0x11));
      flash.writeProtected.add(BASE);
      expect(await dfu.command(0, withAddress(0x41, BASE))).toEqual([BUSY_100, expected]);
      expect(flash.peek(BASE, 1)[0]).toBe(0x11);
    }
  });
});

describe('read protection', () => {
  test('SET_ADDRESS, UPLOAD and DNLOAD end in errVENDOR (betaflight-configurator@e1320fe)', async () => {
    const { dfu, flash } = await settled();
    flash.readProtected = true;
    expect(await dfu.command(0, withAddress(0x21, BASE))).toEqual([BUSY_104, ERR_VENDOR]);
    await dfu.clrStatus();
    expect(await dfu.upload(2, 16)).toBe('stall');
    expect(await dfu.getStatus()).toBe(ERR_VENDOR);
    await dfu.clrStatus();
    expect(await dfu.command(2, filled(4, 0))).toEqual([BUSY_104, ERR_VENDOR]);
    await dfu.clrStatus();
    expect(await dfu.command(0, withAddress(0x41, BASE))).toEqual([BUSY_100, ERR_VENDOR]);
  });

  test('read-unprotect erases the chip and resets it', async () => {
    const { dfu, flash, events } = await settled();
    flash.load(BASE, filled(64, 0));
    flash.readProtected = true;
    expect(await dfu.command(0, Uint8Array.of(0x92))).toEqual([BUSY_100, 'stall']);
    expect(events).toEqual(['reset']);
    expect([flash.readProtected, flash.peek(BASE, 1)[0]]).toEqual([false, 0xff]);
    expect(await dfu.getStatus()).toBe('stall');
  });
});
