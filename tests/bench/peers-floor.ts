// What a flash takes in DFU mode when no processor takes any time: the same walk in this process, in virtual time. What
// the guest adds to it is the emulated processor's, the kernel's and QEMU's.
import type { BenchOptions } from '../../src/virtual/bench.ts';
import { flashBytes, setUp } from '../support/bench.ts';
import type { Lap } from './peers-track.ts';

/** From the ROM seen to reset released, ms of virtual time; the copy of what is overwritten is kept already. */
export async function floorMs(board: string, options: BenchOptions, lap: Lap): Promise<number> {
  const rig = await setUp({ board, ...options });
  const { bench } = rig;
  const { boot0Pin, nrstPin } = bench.lines.settings;
  let romAt = 0;
  let releasedAt = 0;
  bench.lines.onLineChange(({ pin, drive }) => {
    if (drive !== 'floating') return;
    if (pin === boot0Pin) romAt = bench.clock.now();
    if (pin === nrstPin) releasedAt = bench.clock.now();
  });
  try {
    for (let round = 0; round < 2; round++) {
      bench.flash.load(lap.address, lap.before);
      await flashBytes(rig, lap.image);
    }
    return releasedAt - romAt;
  } finally {
    bench.dispose();
  }
}
