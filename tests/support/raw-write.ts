// Writes bytes that need not be firmware: the walk's bracket and heart, without preflight and without the boot's verdict.
import { NOTHING_KNOWN } from '../../src/firmware/passport.ts';
import { sectorsOf } from '../../src/firmware/plan.ts';
import { replaceImage, type Written } from '../../src/flash/replace-image.ts';
import { Stopwatch } from '../../src/flash/stopwatch.ts';
import { visitBootloader } from '../../src/flash/visit.ts';
import { findWayIn } from '../../src/flash/way-in.ts';
import type { TestBench } from './bench.ts';

export async function rawWrite(
  rig: TestBench,
  address: number,
  bytes: Uint8Array,
  needs: 'any' | 'rom' = 'rom',
): Promise<Written> {
  const { board } = rig.place;
  const plan = {
    board,
    image: { address, bytes },
    sectors: sectorsOf(board.mcu.sectors, address, bytes.length),
    expectMs: 0,
    passport: {
      ...NOTHING_KNOWN,
      name: 'raw',
      format: 'bin' as const,
      containerAddress: address,
      sizeBytes: bytes.length,
      sha256: '',
      initialStackPointer: 0,
      resetVector: 0,
    },
  };
  const options = { force: [], replaceBootloader: true, verify: true };
  const watch = new Stopwatch(rig.kit.clock, () => {});
  const order = { place: rig.place, confirm: ['cold', 'still'] as const };
  return visitBootloader(
    rig.kit,
    order,
    await findWayIn(rig.kit, order, needs, watch),
    watch,
    undefined,
    replaceImage(rig.kit, plan, options, watch),
    async (done) => done,
  );
}
