// Virtual bench, the host's power: what goes with it and what comes back with it. The boards have a supply of their own.

import type { VirtualBench } from './bench.ts';

type Host = Pick<VirtualBench, 'boards' | 'can' | 'gpio' | 'printer' | 'store'>;

/** @param landing whether a write that was under way is on the disk all the same */
export function hostDown({ boards, can, gpio, printer, store }: Host, landing: 'old' | 'new'): void {
  store.loseUnflushed(landing);
  gpio.hostDown();
  for (const board of boards) board.unplug();
  can.unplugAdapter();
  printer.hostDown();
}

/** It has booted: USB and CAN are there, and Klipper runs. */
export function hostUp({ boards, can, printer }: Host): void {
  for (const board of boards) board.replug();
  can.replugAdapter();
  printer.hostUp();
}
