// Katapult on the chips of toolheads, by its sources' rules: src/stm32/flash.c for G0B1 and F072, src/rp2040/flash.c for
// the flash beside an RP2040, which is written through a buffer of one page.
import { describe, expect, test } from '@jest/globals';
import { VirtualClock } from '../../src/virtual/clock.ts';
import { loadChip } from '../../src/virtual/silicon/chip-data.ts';
import { FlashMemory } from '../../src/virtual/silicon/flash-memory.ts';
import { ackOf, block, frame, hex, katapultRig, send, VECTOR } from './katapult-rig.ts';

const BLANK = new Uint8Array(64).fill(0xff);

function rig(chip: string, appAddress: number) {
  const flash = new FlashMemory(loadChip(chip), new VirtualClock(), { times: 'zero' });
  const katapult = katapultRig({ flash, appAddress, mcu: chip });
  const write = (address: number, data: Uint8Array) => katapult.feed(send(address, data));
  const feed = (data: Uint8Array | string) => katapult.feed(data);
  return { feed, flash, write };
}

describe.each([['stm32g0b1xb'], ['stm32g0b1xe'], ['stm32f072xb']])('%s', (chip) => {
  const app = 0x0800_2000;
  test('the first block of a page of 2 KiB erases it, and only it', async () => {
    const { flash, write } = rig(chip, app);
    flash.load(app, new Uint8Array(0x1000).fill(0x11));
    expect(await write(app, block(1))).toEqual([ackOf(0x12, app)]);
    expect(flash.peek(app, 64)).toEqual(block(1));
    expect(flash.peek(app + 64, 0x800 - 64).every((byte) => byte === 0xff)).toBe(true);
    expect(hex(flash.peek(app + 0x800, 2))).toBe('1111');
  });
  test('a block in a page: blank or the same, else an error', async () => {
    const { flash, write } = rig(chip, app);
    await write(app, block(0));
    expect(await write(app + 64, block(1))).toEqual([ackOf(0x12, app + 64)]);
    expect(await write(app + 64, block(1))).toEqual([ackOf(0x12, app + 64)]);
    expect(await write(app + 64, block(2))).toEqual([VECTOR.error]);
    expect(flash.peek(app + 64, 64)).toEqual(block(1));
  });
  test('nothing below the application', async () => {
    const { write } = rig(chip, app);
    expect(await write(app - 64, BLANK)).toEqual([VECTOR.error]);
  });
  test('EOF counts pages that were begun', async () => {
    const { feed, write } = rig(chip, app);
    for (const at of [0, 64, 0x800]) await write(app + at, block(at));
    expect(await feed(VECTOR.eof)).toEqual([ackOf(0x13, 2)]);
  });
});

describe('rp2040', () => {
  const app = 0x1000_4000;
  const start = () => rig('rp2040', app);
  const request = (address: number) => frame(0x14, address);

  test('an answer means the buffer: the flash has it when another page comes', async () => {
    const { feed, flash, write } = start();
    expect(await write(app, block(1))).toEqual([ackOf(0x12, app)]);
    expect(flash.peek(app, 64)).toEqual(BLANK);
    // What is read back is the flash, too.
    expect(await feed(request(app))).toEqual([hex(frame(0xa0, 0x14, app, BLANK))]);
    expect(await write(app + 256, block(2))).toEqual([ackOf(0x12, app + 256)]);
    expect(flash.peek(app, 64)).toEqual(block(1));
    expect(flash.peek(app + 256, 64)).toEqual(BLANK);
  });

  test('EOF writes the last page, and counts pages of 256 bytes', async () => {
    const { feed, flash, write } = start();
    for (let at = 0; at < 0x240; at += 64) await write(app + at, block(at));
    expect(await feed(VECTOR.eof)).toEqual([ackOf(0x13, 3)]);
    for (let at = 0; at < 0x240; at += 64) expect(flash.peek(app + at, 64)).toEqual(block(at));
  });

  test('without EOF the last page is lost', async () => {
    const { feed, flash, write } = start();
    await write(app, block(1));
    expect(await feed(VECTOR.complete)).toEqual([ackOf(0x15)]);
    expect(flash.peek(app, 64)).toEqual(BLANK);
  });

  test('only the first page of a sector erases it; what is programmed over something else is garbage, and acknowledged', async () => {
    const { feed, flash, write } = start();
    flash.load(app, new Uint8Array(0x1000).fill(0x0f));
    expect(await write(app + 256, new Uint8Array(64).fill(0xf3))).toEqual([ackOf(0x12, app + 256)]);
    expect(await feed(VECTOR.eof)).toEqual([ackOf(0x13, 1)]);
    expect(hex(flash.peek(app + 256, 1))).toBe('03');
  });

  test('the first page of a sector once more takes the rest of the sector with it', async () => {
    const { feed, flash, write } = start();
    for (const at of [0, 256, 512]) await write(app + at, block(at));
    await feed(VECTOR.eof);
    await write(app, block(7));
    await feed(VECTOR.eof);
    expect(flash.peek(app, 64)).toEqual(block(7));
    expect(flash.peek(app + 256, 64)).toEqual(BLANK);
  });

  test('a block again in the same page is the last one that counts', async () => {
    const { feed, flash, write } = start();
    await write(app, block(1));
    expect(await write(app, block(2))).toEqual([ackOf(0x12, app)]);
    await feed(VECTOR.eof);
    expect(flash.peek(app, 64)).toEqual(block(2));
  });

  test.each([
    ['below the application', app - 64],
    ['not at a block', app + 4],
    // FLASH_SIZE 0x200000.
    ['beyond 2 MiB', 0x1020_0000],
  ])('%s is an error', async (_story, address) => {
    expect(await start().write(address, block(1))).toEqual([VECTOR.error]);
  });
});
