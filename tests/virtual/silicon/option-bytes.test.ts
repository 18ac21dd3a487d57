// Option bytes as the ROM shows them. Values: RM0090 tables 15 to 17 (F4), RM0468 section 4.9 (H7 registers).
import { describe, expect, test } from '@jest/globals';
import type { McuName } from '../../../src/virtual/silicon/silicon.ts';
import { kindRomSettings } from '../../../src/virtual/silicon/rom-settings.ts';
import { rig } from './rig.ts';

const F4_AT = 0x1fffc000;
const H7_AT = 0x5200201c;
const ERR_TARGET = '010000000a00';
const ERR_VENDOR = '0b0000000a00';

async function readable(name: McuName, otherAlts: 'readable' | 'hang' = 'readable') {
  const table = rig(name, { settings: { ...kindRomSettings(name), otherAlts } });
  await table.dfu.settle();
  const read = async (address: number, length: number) => {
    await table.dfu.aim(address);
    const answer = await table.dfu.upload(2, length);
    await table.dfu.abort();
    return answer;
  };
  return { ...table, read };
}

describe('F4', () => {
  // USER with BOR off and no watchdog, RDP 0xAA; nWRP of all sectors high, SPRMOD low where there is one.
  test.each<[McuName, string]>([
    ['stm32f446xx', 'ff7f'],
    ['stm32f429xx', 'ff3f'],
    ['stm32f407xx', 'ffff'],
  ])('%s, open', async (name, nwrp) => {
    const { read } = await readable(name);
    const bytes = await read(F4_AT, 16);
    expect([bytes.slice(0, 4), bytes.slice(16, 20)]).toEqual(['efaa', nwrp]);
  });

  test('a protected sector is a bit that is low', async () => {
    const { flash, read } = await readable('stm32f429xx');
    flash.writeProtected.add(0x0800_4000); // sector 1
    flash.writeProtected.add(0x080e_0000); // sector 11
    expect((await read(F4_AT, 16)).slice(16, 20)).toBe('fd37');
    expect(await read(0x1ffec000, 16)).toBe('ff'.repeat(16));
  });

  test('"read size should be 16 bytes" (AN2662 section 4.4.1)', async () => {
    const { dfu, read } = await readable('stm32f446xx');
    expect(await read(F4_AT, 2)).toBe('stall');
    expect(await dfu.getStatus()).toBe(ERR_TARGET);
  });

  test('read protection refuses them too (AN2662 section 4.4.1)', async () => {
    const { dfu, flash } = await readable('stm32f446xx');
    await dfu.aim(F4_AT);
    flash.readProtected = true;
    expect(await dfu.upload(2, 16)).toBe('stall');
    expect(await dfu.getStatus()).toBe(ERR_VENDOR);
  });
});

test('H7: the registers from FLASH_OPTSR_CUR on', async () => {
  const { flash, read } = await readable('stm32h723xx');
  flash.writeProtected.add(0x0804_0000); // sector 2
  const bytes = await read(H7_AT, 88);
  expect(bytes.slice(2, 4)).toBe('aa');
  expect(bytes.slice(2 * 0x1c, 2 * 0x1c + 8)).toBe('fb000000');
});

test('a core that does not survive it answers nothing any more', async () => {
  const { clock, dfu } = await readable('stm32f446xx', 'hang');
  await dfu.aim(F4_AT);
  let answered = false;
  void dfu.send(0xa1, 2, 2, 16).then(() => (answered = true));
  await clock.advance(60_000);
  expect(answered).toBe(false);
});

test('unprotecting leaves write protection as it was (RM0090 section 3.7.3)', async () => {
  const { clock, flash } = await readable('stm32f446xx');
  flash.readProtected = true;
  flash.writeProtected.add(0x0800_0000);
  let told = 0;
  flash.onProtection = () => (told += 1);
  expect(await clock.run(flash.removeReadProtection())).toBe('ok');
  expect([flash.readProtected, [...flash.writeProtected], told]).toEqual([false, [0x0800_0000], 1]);
});
