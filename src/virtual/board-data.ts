// Virtual bench: the boards as data, `boards/*.json` beside this file.

import { readdirSync, readFileSync } from 'node:fs';
import { OctopusError } from '../errors.ts';

export interface VirtualBoardData {
  readonly name: string;
  readonly title: string;
  readonly revision: string;
  readonly mcu: string;
  readonly crystalHz: number;
  /** The chip's 12 unique bytes as 24 hex digits, in memory order. */
  readonly uid: string;
  /** Heater pins that the ROM bootloader may drive while it looks at its UARTs. */
  readonly heaterPinsTheRomMayDrive: readonly string[];
  /** Where the stock bootloader looks for its application, from the start of flash. */
  readonly stockOffset: number;
  readonly busPath: string;
}

/** What somebody has left in the flash of a board. */
export const BOARD_STATES = [
  'used',
  'blank',
  'katapult',
  'katapult-empty',
  'no-bootloader',
  'bridge',
  'bridge-katapult',
  'can-node',
  'can-node-stock',
  'bricked',
] as const;
export type BoardState = (typeof BOARD_STATES)[number];

/** How Klipper on such a board reaches its host: by a bus that the board brings along, or by one that it hangs on. */
export function canRole(state: BoardState | undefined): 'bridge' | 'node' | undefined {
  if (state === 'bridge' || state === 'bridge-katapult') return 'bridge';
  return state === 'can-node' || state === 'can-node-stock' ? 'node' : undefined;
}

const FOLDER = new URL('./boards/', import.meta.url);

export function virtualBoardNames(): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort();
}

export function loadVirtualBoard(name: string): VirtualBoardData {
  const names = virtualBoardNames();
  if (!names.includes(name)) {
    throw new OctopusError('unknown-board', `there is no virtual board "${name}"`, {
      advice: `Use one of: ${names.join(', ')}.`,
    });
  }
  const data: VirtualBoardData = JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), 'utf8'));
  return { ...data, name };
}

export function uidBytes(board: Pick<VirtualBoardData, 'uid'>): Uint8Array {
  return Uint8Array.from(Buffer.from(board.uid, 'hex'));
}
