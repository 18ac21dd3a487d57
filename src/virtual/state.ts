// Virtual bench, what lies in the flash of a board that somebody has used.

import { forgeMcu, randomFrom } from './forge-parts.ts';
import { forgeKatapult, forgeKlipper, forgeStockBootloader, OLD_KLIPPER } from './forge.ts';
import type { BoardState, VirtualBoardData } from './board-data.ts';
import type { FlashMemory } from './silicon/flash-memory.ts';

export function fillFlash(flash: FlashMemory, board: VirtualBoardData, state: BoardState): void {
  if (state === 'blank') return;
  const mcu = forgeMcu(board.mcu);
  const base = flash.mcu.flashBase;
  const app = base + board.stockOffset;
  scatterJunk(flash);
  switch (state) {
    case 'used':
      put(flash, base, forgeStockBootloader({ mcu }));
      put(flash, app, forgeKlipper({ mcu, linkAddress: app, version: OLD_KLIPPER }));
      return;
    case 'bridge':
      put(flash, base, forgeStockBootloader({ mcu }));
      put(flash, app, forgeKlipper({ mcu, linkAddress: app, version: OLD_KLIPPER, transport: 'bridge' }));
      return;
    case 'bridge-katapult':
      put(flash, base, forgeKatapult({ mcu, appAddress: app }));
      put(flash, app, forgeKlipper({ mcu, linkAddress: app, version: OLD_KLIPPER, transport: 'bridge' }));
      return;
    case 'can-node':
      put(flash, base, forgeKatapult({ mcu, appAddress: app, transport: 'can' }));
      put(flash, app, forgeKlipper({ mcu, linkAddress: app, version: OLD_KLIPPER, transport: 'can' }));
      return;
    case 'can-node-stock':
      put(flash, base, forgeStockBootloader({ mcu }));
      put(flash, app, forgeKlipper({ mcu, linkAddress: app, version: OLD_KLIPPER, transport: 'can' }));
      return;
    case 'bricked': {
      put(flash, base, forgeStockBootloader({ mcu }));
      const klipper = forgeKlipper({ mcu, linkAddress: app, version: OLD_KLIPPER });
      // A write that ended at two thirds; the vectors are whole, so it is started and crashes.
      put(flash, app, klipper.fill(0xff, Math.floor((klipper.length * 2) / 3)));
      return;
    }
    case 'katapult':
      put(flash, base, forgeKatapult({ mcu, appAddress: app }));
      put(flash, app, forgeKlipper({ mcu, linkAddress: app, version: OLD_KLIPPER }));
      return;
    case 'katapult-empty':
      put(flash, base, forgeKatapult({ mcu, appAddress: app }));
      return;
    case 'no-bootloader':
      put(flash, base, forgeKlipper({ mcu, linkAddress: base, version: OLD_KLIPPER }));
      return;
  }
}

/**
 * Remains of earlier firmware in the second half of flash, as a board has them that once ran Marlin: a driver
 * that takes "not mine" for "erased" meets them.
 */
function scatterJunk(flash: FlashMemory): void {
  const random = randomFrom(7, 'junk');
  const sectors = flash.mcu.sectors;
  for (const sector of sectors.slice(Math.ceil(sectors.length / 2))) {
    const junk = Uint8Array.from({ length: 0x3000 }, () => random() & 0xff);
    flash.load(sector.address, junk);
  }
}

/** An H7 programs whole words only, so the last one is filled up with 0xFF. */
function put(flash: FlashMemory, address: number, image: Uint8Array): void {
  const word = flash.mcu.writeOnceWordBytes ?? 4;
  const padded = new Uint8Array(Math.ceil(image.length / word) * word).fill(0xff);
  padded.set(image);
  flash.load(address, padded);
}
