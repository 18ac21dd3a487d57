// Virtual bench, CAN firmware: what Klipper and Katapult do with admin frames (klipper-katapult-dfu.md section 2(d);
// Klipper docs/CANBUS_protocol.md and src/generic/canserial.c; Katapult src/generic/canserial.c).

import type { CanFrame } from '../ports/can.ts';

const FROM_HOST = 0x3f0;
const TO_HOST = 0x3f1;

export type CanProgram = 'klipper' | 'katapult';
/** What it says when it has no id, and the commands that give it one. */
const COMMANDS = {
  klipper: { setNodeId: 0x01, clear: undefined },
  katapult: { setNodeId: 0x11, clear: 0x12 },
} as const;

export class CanAdmin {
  readonly uuid: string;
  readonly #reboot: () => void;
  program: CanProgram;
  /** 0 is none. */
  nodeId: number;
  /** Klipper has shut down: "Another CAN node assigned this ID". */
  hasConflict = false;

  constructor(uuid: string, program: CanProgram, nodeId: number, reboot: () => void) {
    if (!/^[0-9a-f]{12}$/.test(uuid)) throw new TypeError(`"${uuid}" is no uuid`);
    this.uuid = uuid;
    this.program = program;
    this.nodeId = nodeId;
    this.#reboot = reboot;
  }

  /** Host to node; the node's own are at the next id. */
  get dataId(): number | undefined {
    return this.nodeId === 0 ? undefined : this.nodeId * 2 + 0x100;
  }

  /** The answer, if it has one. */
  receive({ id, data }: CanFrame): CanFrame | undefined {
    if (this.dataId !== undefined && id === this.dataId + 1) this.#conflict();
    const command = data[0];
    if (id !== FROM_HOST || command === undefined) return undefined;
    const { setNodeId, clear } = COMMANDS[this.program];
    if (command === 0x00) return this.nodeId === 0 ? this.#needNodeId(setNodeId) : undefined;
    if (command === setNodeId && data.length >= 8) this.#assign(data);
    else if (command === 0x02 && this.program === 'klipper' && this.#isMeant(data)) this.#reboot();
    else if (command === clear) this.nodeId = 0;
    return undefined;
  }

  #needNodeId(setNodeId: number): CanFrame {
    return { id: TO_HOST, data: Uint8Array.of(0x20, ...Buffer.from(this.uuid, 'hex'), setNodeId) };
  }

  #assign(data: Uint8Array): void {
    const given = data[7] ?? 0;
    if (this.#isMeant(data)) this.nodeId = given;
    else if (given === this.nodeId && this.program === 'klipper') this.#conflict();
  }

  #conflict(): void {
    if (this.program !== 'klipper') return;
    this.nodeId = 0;
    this.hasConflict = true;
  }

  #isMeant(data: Uint8Array): boolean {
    return data.length >= 7 && Buffer.from(data.subarray(1, 7)).toString('hex') === this.uuid;
  }
}
