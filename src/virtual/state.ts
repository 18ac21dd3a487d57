// Virtual bench, what lies in the flash of a board that somebody has used, and how it is protected.

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
    case 'read-protected':
    case 'write-protected':
    case 'used':
      protect(flash, app, state);
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
 * As vendors of other firmware leave a chip: nothing of it can be read from outside; or one sector cannot be written, the
 * second of the application where it lies in several.
 */
function protect(
  flash: FlashMemory,
  app: number,
  state: 'read-protected' | 'write-protected' | 'used',
): void {
  flash.readProtected = state === 'read-protected';
  if (state !== 'write-protected') return;
  const [first, second] = flash.mcu.sectors.filter(({ address }) => address >= app);
  const isInSecond = second !== undefined && second.address < app + KLIPPER_AT_LEAST_BYTES;
  const sector = isInSecond ? second : first;
  if (sector !== undefined) flash.writeProtected.add(sector.address);
}
/** The shortest Klipper of an Octopus is 42 KiB (klipper-katapult-dfu.md section 1). */
const KLIPPER_AT_LEAST_BYTES = 42 * 1024;

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
