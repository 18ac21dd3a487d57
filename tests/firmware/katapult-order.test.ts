import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { orderForKatapult, type KatapultStep } from '../../src/firmware/katapult-order.ts';
import { planWrite, sectorsOf, type PlanSector } from '../../src/firmware/plan.ts';
import { KatapultPeer, f446Page, hexOf } from '../support/katapult-peer.ts';
import { refusalOf } from './refusal.ts';

const KIB = 1024;
const APPLICATION = 0x08008000;
const BLOCK = 64;
/** RM0390 3.3. */
const F446 = sectorsFrom([16, 16, 16, 16, 64, 128, 128, 128]);
/** RM0468 4.3. */
const H723 = sectorsFrom([128, 128, 128, 128]);

function sectorsFrom(sizesKib: readonly number[]): readonly PlanSector[] {
  let address = 0x08000000;
  return sizesKib.map((sizeKib) => {
    const sector = { address, sizeBytes: sizeKib * KIB };
    address += sector.sizeBytes;
    return sector;
  });
}
function imageOf(sizeBytes: number): Uint8Array {
  return Uint8Array.from({ length: sizeBytes }, (_, at) => (at * 31 + (at >> 8)) & 0xfe);
}
function planOf(sectors: readonly PlanSector[], address: number, image: Uint8Array, current: Uint8Array) {
  return planWrite({ address, bytes: image }, sectorsOf(sectors, address, image.length), current, BLOCK, 32);
}
const old = (sizeBytes: number) => new Uint8Array(sizeBytes).fill(0x55);
const pagesOf = (steps: readonly KatapultStep[]) => steps.map(({ page, purpose }) => [page.address, purpose]);

describe('46 KiB on an F446: pages of 16, 16 and 64 KiB', () => {
  const steps = orderForKatapult(planOf(F446, APPLICATION, imageOf(46 * KIB), old(96 * KIB)), BLOCK, true);

  test('the first page is closed first and written last', () => {
    expect(pagesOf(steps)).toEqual([
      [APPLICATION, 'close'],
      [0x0800c000, 'write'],
      [0x08010000, 'write'],
      [APPLICATION, 'write'],
    ]);
    expect(steps[0]?.blocks).toEqual([{ address: APPLICATION, bytes: new Uint8Array(BLOCK).fill(0xff) }]);
  });

  test('each page begins with its first block and goes on by rising address, in whole blocks', () => {
    for (const { page, blocks } of steps) {
      expect(blocks[0]?.address).toBe(page.address);
      for (const { bytes } of blocks) expect(bytes).toHaveLength(BLOCK);
      const addresses = blocks.map(({ address }) => address);
      expect(addresses).toEqual([...addresses].sort((a, b) => a - b));
    }
  });
});

test('where a word takes one programming per erase the first page is closed with zeros', () => {
  const plan = planOf(H723, 0x08020000, imageOf(200 * KIB), old(256 * KIB));
  const steps = orderForKatapult(plan, BLOCK, false);
  expect(pagesOf(steps)).toEqual([
    [0x08020000, 'close'],
    [0x08040000, 'write'],
    [0x08020000, 'write'],
  ]);
  expect(steps[0]?.blocks.map(({ bytes }) => hexOf(bytes))).toEqual(['00'.repeat(BLOCK)]);
});

test('an application in one page is written from its first block on', () => {
  const plan = planOf(H723, 0x08020000, imageOf(46 * KIB), old(128 * KIB));
  expect(pagesOf(orderForKatapult(plan, BLOCK, false))).toEqual([[0x08020000, 'write']]);
});

test('only the pages of the plan, the first one always among them', () => {
  const image = imageOf(46 * KIB);
  const current = new Uint8Array(96 * KIB).fill(0xff);
  current.set(image);
  current.fill(0, 40 * KIB);
  const steps = orderForKatapult(planOf(F446, APPLICATION, image, current), BLOCK, true);
  expect(steps.map(({ page }) => page.address)).toEqual([APPLICATION, 0x08010000, APPLICATION]);
});

test('nothing to do is nothing to send', () => {
  expect(orderForKatapult({ erase: [], write: [] }, BLOCK, true)).toEqual([]);
});

test('blank blocks are left out, save the one that erases its page', () => {
  const image = new Uint8Array(20 * KIB).fill(0xff);
  image.fill(0x11, 0, 10);
  image.fill(0x22, 5 * BLOCK, 5 * BLOCK + 1);
  const steps = orderForKatapult(planOf(F446, APPLICATION, image, old(32 * KIB)), BLOCK, true);
  const offsets = steps.map(({ blocks }) => blocks.map(({ address }) => address - APPLICATION));
  expect(offsets).toEqual([[0], [16 * KIB], [0, 5 * BLOCK]]);
  expect(steps[1]?.blocks[0]?.bytes.every((byte) => byte === 0xff)).toBe(true);
});

test.each([
  ['behind', 0x0800c000 - 16],
  ['before', APPLICATION - 16],
])('bytes %s what is erased are refused', (_where, address) => {
  const erase = F446.filter((sector) => sector.address === APPLICATION);
  const plan = { erase, write: [{ address, bytes: new Uint8Array(BLOCK).fill(1) }] };
  expect(refusalOf(() => orderForKatapult(plan, BLOCK, true)).code).toBe('wrong-address');
});

test('cut off anywhere: what would start is whole but for its first page; the end is the image', () => {
  const anyImage = fc.integer({ min: 17 * KIB, max: 80 * KIB });
  const anyBlanks = fc.array(fc.tuple(fc.nat(79), fc.nat(79)), { maxLength: 4 });
  fc.assert(
    fc.property(anyImage, anyBlanks, (sizeBytes, blanks) => {
      const image = imageOf(sizeBytes);
      for (const [from, length] of blanks) image.fill(0xff, Math.max(KIB, from * KIB), (from + length) * KIB);
      image[0] = 0x12;
      const peer = new KatapultPeer();
      peer.at(APPLICATION, 96 * KIB).fill(0x55);
      for (const { blocks } of orderForKatapult(
        planOf(F446, APPLICATION, image, old(96 * KIB)),
        BLOCK,
        true,
      )) {
        for (const { address, bytes } of blocks) {
          expect(peer.write(address, bytes)).toBe(true);
          if (!isStarted(peer)) continue;
          const behind = peer.at(APPLICATION + 16 * KIB, image.length - 16 * KIB);
          expect(Buffer.compare(behind, image.subarray(16 * KIB))).toBe(0);
        }
      }
      expect(hexOf(peer.at(APPLICATION, image.length))).toBe(hexOf(image));
      const last = APPLICATION + image.length - 1;
      const end = last - (last % f446Page(last)) + f446Page(last);
      expect(peer.at(last + 1, end - last - 1).every((byte) => byte === 0xff)).toBe(true);
    }),
    { numRuns: 10 },
  );
});

/** src/generic/armcm_canboot.c, application_check_valid. */
function isStarted(peer: KatapultPeer): boolean {
  return !['ffffffff', '00000000'].includes(hexOf(peer.at(APPLICATION, 4)));
}
