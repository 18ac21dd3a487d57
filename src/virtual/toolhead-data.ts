// Virtual bench: the toolheads as data, `toolheads/*.json` beside this file.

import { readdirSync, readFileSync } from 'node:fs';
import { OctopusError } from '../errors.ts';

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

const FOLDER = new URL('./toolheads/', import.meta.url);

export function toolheadNames(): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort();
}

/** Throws `unknown-board`. */
export function loadToolhead(name: string): ToolheadData {
  const names = toolheadNames();
  if (!names.includes(name)) {
    throw new OctopusError('unknown-board', `there is no virtual toolhead "${name}"`, {
      advice: `Use one of: ${names.join(', ')}.`,
    });
  }
  const data: ToolheadData = JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), 'utf8'));
  return { ...data, name };
}
