// Virtual bench, what lies in the flash of a board that somebody has used, and how it is protected.

import { forgeMcu, randomFrom, type ForgeMcu } from './forge-parts.ts';
import {
  forgeKatapult,
  forgeKlipper,
  forgeStockBootloader,
  OLD_KLIPPER,
  type KlipperTransport,
} from './forge.ts';
import type { BoardState, VirtualBoardData } from './board-data.ts';
import type { FlashMemory } from './silicon/flash-memory.ts';

interface Placed {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** By chip, place and state: the same bytes each time, and forging them takes longer than many a test. */
const forged = new Map<string, readonly Placed[]>();

export function fillFlash(flash: FlashMemory, board: VirtualBoardData, state: BoardState): void {
  if (state === 'blank') return;
  const app = flash.mcu.flashBase + board.stockOffset;
  scatterJunk(flash);
  protect(flash, app, state);
  const key = `${board.mcu} ${app} ${state}`;
  const contents = forged.get(key) ?? contentsOf(forgeMcu(board.mcu), flash.mcu.flashBase, app, state);
  forged.set(key, contents);
  for (const { address, bytes } of contents) put(flash, address, bytes);
}

function contentsOf(
  mcu: ForgeMcu,
  base: number,
  app: number,
  state: Exclude<BoardState, 'blank'>,
): readonly Placed[] {
  const stock = () => ({ address: base, bytes: forgeStockBootloader({ mcu }) });
  const katapult = (transport: 'usb' | 'can' = 'usb') => ({
    address: base,
    bytes: forgeKatapult({ mcu, appAddress: app, transport }),
  });
  const klipper = (transport: KlipperTransport = 'usb', address = app) => ({
    address,
    bytes: forgeKlipper({ mcu, linkAddress: address, version: OLD_KLIPPER, transport }),
  });
  switch (state) {
    case 'read-protected':
    case 'write-protected':
    case 'used':
      return [stock(), klipper()];
    case 'bridge':
      return [stock(), klipper('bridge')];
    case 'bridge-katapult':
      return [katapult(), klipper('bridge')];
    case 'can-node':
      return [katapult('can'), klipper('can')];
    case 'can-node-stock':
      return [stock(), klipper('can')];
    case 'bricked':
      return [stock(), { address: app, bytes: torn(klipper().bytes) }];
    case 'katapult':
      return [katapult(), klipper()];
    case 'katapult-empty':
      return [katapult()];
    case 'no-bootloader':
      return [klipper('usb', base)];
  }
}

/** A write that ended at two thirds; the vectors are whole, so it is started and crashes. */
function torn(image: Uint8Array): Uint8Array {
  return image.fill(0xff, Math.floor((image.length * 2) / 3));
}

/**
 * As vendors of other firmware leave a chip: nothing of it can be read from outside; or one sector cannot be written, the
 * second of the application where it lies in several.
 */
function protect(flash: FlashMemory, app: number, state: BoardState): void {
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
  const sectors = flash.mcu.sectors;
  for (const [index, { address }] of sectors.slice(Math.ceil(sectors.length / 2)).entries())
    flash.load(address, junkOf(index));
}

const junk: Uint8Array[] = [];

function junkOf(index: number): Uint8Array {
  const random = randomFrom(7 + index, 'junk');
  return (junk[index] ??= Uint8Array.from({ length: 0x3000 }, () => random() & 0xff));
}

/** An H7 programs whole words only, so the last one is filled up with 0xFF. */
function put(flash: FlashMemory, address: number, image: Uint8Array): void {
  const word = flash.mcu.writeOnceWordBytes ?? 4;
  const padded = new Uint8Array(Math.ceil(image.length / word) * word).fill(0xff);
  padded.set(image);
  flash.load(address, padded);
}
