// Virtual bench, CAN: what may be special about a toolhead.

import type { CanFrame } from '../ports/can.ts';
import type { CanProgram } from './can-admin.ts';
import type { FirmwareSettings } from './firmware-settings.ts';
import type { NodeState } from './toolhead-data.ts';

export interface CanNodeOptions {
  /** One of `toolheadNames()`. Default `btt-ebb36-v1.2`. */
  readonly model?: string;
  /** What lies in its flash, and what it runs. Default `klipper`, with Katapult below. */
  readonly state?: NodeState;
  /** The chip's unique bytes, 24 hex digits or an RP2040's 16. Default: those of `uuid`. */
  readonly uid?: string;
  /** 12 hex digits. Default: counted up. Give two nodes the same to make them alike. */
  readonly uuid?: string;
  /** Short for the state `klipper` or `katapult`. */
  readonly runs?: CanProgram;
  /** The id that somebody has given it; without one it answers the query. */
  readonly nodeId?: number;
  /** False is short for the state `no-katapult`. */
  readonly hasKatapult?: boolean;
  /** Of Klipper. */
  readonly version?: string;
  readonly katapultProtocol?: '1.0' | '1.1';
  readonly firmware?: Partial<FirmwareSettings>;
  /** What its firmware was built for. Default: that of the bus. */
  readonly bitrate?: number;
  readonly disturbs?: number;
  /** From a frame to what its main loop makes of it. Default: a little different for each node. */
  readonly answerAfterMs?: number;
  /** How often it gives each answer. Default 1. */
  readonly answerTimes?: number;
  /** What it says instead of its answer. */
  readonly answer?: (plain: CanFrame) => readonly CanFrame[];
  /** Without power until `powerOn`. */
  readonly isOff?: boolean;
}

export function stateOf({ state, runs, hasKatapult }: CanNodeOptions): NodeState {
  if (state !== undefined) return state;
  if (runs === 'katapult') return 'katapult';
  return hasKatapult === false ? 'no-katapult' : 'klipper';
}

/** What it says where it would answer `plain`. */
export function manners({ answer, answerTimes = 1 }: CanNodeOptions, plain: CanFrame): readonly CanFrame[] {
  const once = answer?.(plain) ?? [plain];
  return Array.from({ length: answerTimes }, () => once).flat();
}
