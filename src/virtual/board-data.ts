// Virtual bench: the boards as data, `boards/*.json` beside this file.

import { jsonFolder } from './json-folder.ts';

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
  'read-protected',
  'write-protected',
] as const;
export type BoardState = (typeof BOARD_STATES)[number];

/** How Klipper on such a board reaches its host: by a bus that the board brings along, or by one that it hangs on. */
export function canRole(state: BoardState | undefined): 'bridge' | 'node' | undefined {
  if (state === 'bridge' || state === 'bridge-katapult') return 'bridge';
  return state === 'can-node' || state === 'can-node-stock' ? 'node' : undefined;
}

const BOARDS = jsonFolder<VirtualBoardData>(new URL('./boards/', import.meta.url), 'virtual board');
export const virtualBoardNames = (): string[] => BOARDS.names();
/** Throws `unknown-board`. */
export const loadVirtualBoard = (name: string): VirtualBoardData => BOARDS.load(name);

export function uidBytes(board: Pick<VirtualBoardData, 'uid'>): Uint8Array {
  return Uint8Array.from(Buffer.from(board.uid, 'hex'));
}
