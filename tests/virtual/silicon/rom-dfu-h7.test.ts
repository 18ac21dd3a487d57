// The H7 ROM, where it differs from the F4's.
import { describe, expect, test } from '@jest/globals';
import { defaultRomSettings, kindRomSettings } from '../../../src/virtual/silicon/rom-settings.ts';
import { filled, hex, rig, UID, withAddress } from './rig.ts';

const BASE = 0x08000000;
const K = 1024;
const IDLE = '000000000200';
const DNLOAD_IDLE = '000000000500';
const BUSY_1000 = '00e803000400'; // 1000 = 0x3e8
const BUSY_104 = '006800000400';
const CALM = { readBeforeWrite: 'off' } as const;

function h723(settings: Parameters<typeof rig>[1] = {}) {
  return rig('stm32h723xx', settings);
}

test('cold start is dfuIDLE (Manta-M8P#112)', async () => {
  expect(await h723().dfu.getStatus()).toBe(IDLE);
});

test('an erase says dfuDNBUSY/1000 only when it is done, and a millisecond later 5/0 (0D50X0000C0w7U9)', async () => {
  const { clock, dfu } = h723();
  await dfu.dnload(0, withAddress(0x41, BASE));
  const start = clock.now();
  expect(await dfu.getStatus()).toBe(BUSY_1000);
  expect(clock.now() - start).toBeGreaterThan(1000);
  const second = clock.now();
  expect(await dfu.getStatus()).toBe(DNLOAD_IDLE);
  expect(clock.now() - second).toBeLessThan(2);
});

test.each(['dnload', 'second-getstatus', 'none'] as const)('or with %s held', async (heldRequest) => {
  const { clock, dfu, flash } = h723({ settings: { heldRequest } });
  flash.load(BASE, filled(32, 0));
  const start = clock.now();
  await dfu.dnload(0, withAddress(0x41, BASE));
  expect(clock.now() - start > 1000).toBe(heldRequest === 'dnload');
  expect(await dfu.getStatus()).toBe(BUSY_1000);
  if (heldRequest === 'none') await clock.advance(1000);
  expect(await dfu.getStatus()).toBe(DNLOAD_IDLE);
  expect(clock.now() - start).toBeGreaterThan(1000);
  expect(flash.peek(BASE, 1)[0]).toBe(0xff);
});

test('no busy answer has a zero low byte, no final one another (comma.ai panda)', () => {
  for (const settings of [defaultRomSettings('stm32h723xx'), kindRomSettings('stm32h723xx')]) {
    for (const ms of Object.values(settings.pollTimeouts)) expect(ms & 0xff).toBeGreaterThan(0);
  }
});

test('1024 bytes at most, read in 5 ms (td-p/221810)', async () => {
  const { clock, dfu } = h723();
  const start = clock.now();
  expect(await dfu.upload(2, 1024)).toBe('ff'.repeat(1024));
  expect(clock.now() - start).toBeCloseTo(5);
  expect(await dfu.upload(2, 1025)).toBe('stall');
});

test('a ZE claims 8*128Kg and has four: the rest is refused, or swallowed', async () => {
  const strict = h723();
  expect(await strict.dfu.command(0, withAddress(0x41, BASE + 512 * K))).toEqual([BUSY_1000, '010000000a00']);
  const silent = h723({ settings: { beyondFlash: 'silent' } });
  expect(await silent.dfu.command(0, withAddress(0x41, BASE + 512 * K))).toEqual([BUSY_1000, DNLOAD_IDLE]);
  expect(await silent.dfu.command(0, withAddress(0x41, BASE + 1024 * K))).toEqual([
    BUSY_1000,
    '010000000a00',
  ]);
});

test('UID and size registers where they are open', async () => {
  const { dfu } = h723({ settings: { systemInfo: 'readable' } });
  await dfu.aim(0x1ff1e800);
  expect(await dfu.upload(2, 12)).toBe(hex(UID));
  await dfu.abort();
  await dfu.aim(0x1ff1e880);
  expect(await dfu.upload(2, 2)).toBe('0002');
});

describe('CLRSTATUS', () => {
  test('outside dfuERROR makes one: 14/10, and the next 0/2', async () => {
    const { dfu } = h723();
    expect(await dfu.clrStatus()).toBe('');
    expect(await dfu.getStatus()).toBe('0e0000000a00');
    expect(await dfu.clrStatus()).toBe('');
    expect(await dfu.getStatus()).toBe(IDLE);
  });

  test('gets out of a dfuDNBUSY that lasts for ever; the sector is erased (betaflight-configurator#1861)', async () => {
    const { clock, dfu, flash } = h723({ settings: { lastingBusy: 'after-erase' } });
    flash.load(BASE, filled(32, 0));
    expect(await dfu.command(0, withAddress(0x41, BASE))).toEqual([BUSY_1000, BUSY_1000]);
    await clock.advance(60_000);
    expect(await dfu.getStatus()).toBe(BUSY_1000);
    await dfu.clrStatus();
    expect(await dfu.getStatus()).toBe('0e0000000a00');
    await dfu.clrStatus();
    expect(await dfu.getStatus()).toBe(IDLE);
    expect(flash.peek(BASE, 32)).toEqual(filled(32, 0xff));
  });
});

async function readEraseWrite(readBeforeWrite: 'off' | 'healed-by-erase' | 'lasting', erase: boolean) {
  const table = h723({ settings: { readBeforeWrite } });
  await table.dfu.upload(2, 64);
  await table.dfu.abort();
  if (erase) await table.dfu.command(0, withAddress(0x41, BASE));
  await table.dfu.command(0, withAddress(0x21, BASE));
  expect(await table.dfu.command(2, filled(64, 0x12))).toEqual([BUSY_104, DNLOAD_IDLE]);
  return table;
}

describe('the read that spoils the next write (td-p/622483)', () => {
  test.each([
    ['off', false, 0x12],
    ['healed-by-erase', false, 0xff],
    ['healed-by-erase', true, 0x12],
    ['lasting', true, 0xff],
  ] as const)('%s, erased between: %s', async (setting, erase, first) => {
    const { flash } = await readEraseWrite(setting, erase);
    expect(flash.peek(BASE, 32)).toEqual(filled(32, first));
    expect(flash.peek(BASE + 32, 32)).toEqual(filled(32, 0x12));
  });

  test("ST's cure: the same 32 bytes again, and later writes are whole", async () => {
    const { dfu, flash } = await readEraseWrite('lasting', true);
    await dfu.command(2, filled(32, 0x12));
    expect(flash.peek(BASE, 64)).toEqual(filled(64, 0x12));
    await dfu.command(3, filled(64, 0x34));
    expect(flash.peek(BASE + 64, 64)).toEqual(filled(64, 0x34));
  });
});

describe('blocks that are no multiple of 32', () => {
  test.each([
    ['lost', 'ff'.repeat(24)],
    ['padded', 'ff'.repeat(24)],
    ['stale-bytes', '12'.repeat(24)],
  ] as const)('%s', async (lastWord, tail) => {
    const { dfu, flash } = h723({ settings: { ...CALM, lastWord } });
    await dfu.command(0, withAddress(0x21, BASE));
    await dfu.command(2, filled(128, 0x12));
    await dfu.command(0, withAddress(0x21, BASE + 128));
    await dfu.command(2, filled(40, 0x34));
    expect(flash.peek(BASE + 128, 32)).toEqual(filled(32, 0x34));
    const last = hex(flash.peek(BASE + 160, 32));
    expect(last).toBe((lastWord === 'lost' ? 'ff' : '34').repeat(8) + tail);
  });
});

test('a word written twice is garbage and nobody says so, unless told', async () => {
  for (const [flashErrors, expected] of [
    ['silent', DNLOAD_IDLE],
    ['reported', '030000000a00'],
  ] as const) {
    const { dfu, flash } = h723({ settings: { ...CALM, flashErrors } });
    await dfu.command(0, withAddress(0x21, BASE));
    await dfu.command(2, filled(32, 0x12));
    expect(await dfu.command(2, filled(32, 0x12))).toEqual([BUSY_104, expected]);
    expect(flash.peek(BASE, 32)).not.toEqual(filled(32, 0x12));
  }
});

test('reading a torn sector hangs the ROM until it is stopped, or gives garbage', async () => {
  for (const eccRead of ['hang', 'garbage'] as const) {
    const { clock, dfu, flash, rom } = h723({ settings: { eccRead } });
    const erase = flash.eraseSector(BASE);
    await clock.advance(500);
    flash.powerCut();
    await erase;
    const read = dfu.send(0xa1, 2, 2, 1024);
    let answer: string | undefined;
    void read.then((a) => (answer = a));
    await clock.advance(60_000);
    expect(answer?.length).toBe(eccRead === 'hang' ? undefined : 2048);
    rom.stop();
    await read;
    // An erase heals the words.
    await clock.run(flash.eraseSector(BASE));
    expect(flash.hasEccError(BASE, 128 * K)).toBe(false);
  }
});

describe('leaving', () => {
  test('that GETSTATUS is stalled and the application starts (67118033379)', async () => {
    const { clock, dfu, events } = h723();
    await dfu.command(0, withAddress(0x21, BASE + 0x20000));
    expect(await dfu.dnload(2, filled(0, 0))).toBe('');
    expect(await dfu.getStatus()).toBe('stall');
    await clock.advance(300);
    expect(events).toEqual(['leave 0x8020000']);
  });

  test('or it leaves on the DNLOAD already', async () => {
    const { clock, dfu, events } = h723({ settings: { leave: 'at-dnload' } });
    await dfu.command(0, withAddress(0x21, BASE));
    await dfu.dnload(2, filled(0, 0));
    await clock.advance(300);
    expect(events).toEqual(['leave 0x8000000']);
  });
});
