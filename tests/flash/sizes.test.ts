// Images of every awkward size onto every board, used and blank: what is written is there, and nothing else has changed.
import { describe, expect, test } from '@jest/globals';
import { flashSizeBytes } from '../../src/boards/boards.ts';
import { BOARDS, expectSafe, setUp, type TestBench } from '../support/bench.ts';
import { rawWrite } from '../support/raw-write.ts';

/** Deterministic bytes that are never 0xFF for long. */
const noise = (length: number) =>
  Uint8Array.from({ length }, (_, index) => (index * 167 + (index >> 8) * 13) & 0xff);

/** One byte, each sector's edge and one byte either side, over 96 KiB, and all there is. */
function sizesFrom({ place }: TestBench, address: number): number[] {
  const { mcu } = place.board;
  const room = mcu.flashBase + flashSizeBytes(mcu) - address;
  const edges = mcu.sectors.flatMap((sector) =>
    [-1, 0, 1].map((off) => sector.address + sector.sizeBytes - address + off),
  );
  const sizes = [1, ...edges, 96 * 1024 + 100, room].filter((size) => size > 0 && size <= room);
  return [...new Set(sizes)].sort((a, b) => a - b);
}

describe.each(BOARDS)('%s', (board) => {
  test.each(['used', 'blank'] as const)('%s', async (state) => {
    const rig = await setUp({ board, state, times: 'zero' });
    const { mcu, applicationAddress } = rig.place.board;
    const size = flashSizeBytes(mcu);
    // Behind the bootloader of a used board; from the very start of a blank one.
    const address = state === 'used' ? applicationAddress : mcu.flashBase;
    for (const sizeBytes of sizesFrom(rig, address)) {
      const before = rig.bench.flash.peek(mcu.flashBase, size).slice();
      const bytes = noise(sizeBytes);
      const written = await rawWrite(rig, address, bytes);
      const after = rig.bench.flash.peek(mcu.flashBase, size);

      const from = address - mcu.flashBase;
      const touched = mcu.sectors.filter(
        (sector) => sector.address >= address && sector.address < address + sizeBytes,
      );
      const end = Math.max(...touched.map((sector) => sector.address + sector.sizeBytes)) - mcu.flashBase;
      expect(Buffer.compare(after.subarray(from, from + sizeBytes), bytes)).toBe(0);
      expect(Buffer.compare(after.subarray(0, from), before.subarray(0, from))).toBe(0);
      expect(Buffer.compare(after.subarray(end), before.subarray(end))).toBe(0);
      expect(written.verified).toBe(true);
      expectSafe(rig);
    }
    rig.bench.dispose();
  });
});
