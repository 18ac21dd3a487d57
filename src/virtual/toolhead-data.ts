// Virtual bench: the toolheads as data, `toolheads/*.json` beside this file.

import { jsonFolder } from './json-folder.ts';

export interface ToolheadData {
  readonly name: string;
  readonly title: string;
  /** In Klipper's spelling. */
  readonly mcu: string;
  /** One of `TOOLHEAD_CHIP_NAMES`. */
  readonly chip: string;
  readonly crystalHz: number;
}

/** What somebody has left in the flash of a toolhead. */
export const NODE_STATES = ['klipper', 'katapult', 'katapult-empty', 'no-katapult', 'torn', 'blank'] as const;
export type NodeState = (typeof NODE_STATES)[number];

const TOOLHEADS = jsonFolder<ToolheadData>(new URL('./toolheads/', import.meta.url), 'virtual toolhead');
export const toolheadNames = (): string[] => TOOLHEADS.names();
/** Throws `unknown-board`. */
export const loadToolhead = (name: string): ToolheadData => TOOLHEADS.load(name);
