import type { VirtualBench } from '../../src/virtual/bench.ts';

/** Loads `image` at `address` as if it had always been there, and starts the board again. */
export async function restartWith(one: VirtualBench, address: number, image: Uint8Array): Promise<void> {
  one.powerCut();
  const padded = new Uint8Array(Math.ceil(image.length / 32) * 32).fill(0xff);
  padded.set(image);
  one.flash.load(address, padded);
  await one.clock.sleep(1000);
  one.powerOn();
  await one.settle();
}
