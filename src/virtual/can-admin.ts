// Virtual bench, CAN firmware: what Klipper and Katapult do with admin frames (klipper-katapult-dfu.md section 2(d);
// Klipper docs/CANBUS_protocol.md and src/generic/canserial.c; Katapult src/generic/canserial.c).

import type { CanFrame } from '../ports/can.ts';

/** From the host; answers come at the next one. */
export const ADMIN_ID = 0x3f0;
const ANSWER_ID = 0x3f1;

export type CanProgram = 'klipper' | 'katapult';
/** What it says when it has no id, and the commands that give it one. */
const COMMANDS = {
  klipper: { setNodeId: 0x01, clear: undefined },
  katapult: { setNodeId: 0x11, clear: 0x12 },
} as const;

export interface AdminEvents {
  /** Klipper's bootloader request. */
  reboot(): void;
  /** Somebody else has its id; Klipper shuts down for it. */
  conflict(): void;
  /** It has an id, another one, or none any more. */
  assigned?(): void;
}

export class CanAdmin {
  readonly uuid: string;
  readonly #events: AdminEvents;
  program: CanProgram = 'klipper';
  /** Host to node, the node's own are at the next id; 0 is none. */
  #assignedId = 0;
  /** Klipper has shut down: "Another CAN node assigned this ID". */
  hasConflict = false;

  constructor(uuid: string, events: AdminEvents) {
    if (!/^[0-9a-f]{12}$/.test(uuid)) throw new TypeError(`"${uuid}" is no uuid`);
    this.uuid = uuid;
    this.#events = events;
  }

  /** A program begins; nobody has given it an id. */
  start(program: CanProgram): void {
    this.program = program;
    this.#assignedId = 0;
    this.hasConflict = false;
  }

  /** As the admin frame does. */
  assign(nodeId: number): void {
    this.#set(nodeId * 2 + 0x100);
  }

  get dataId(): number | undefined {
    return this.#assignedId === 0 ? undefined : this.#assignedId;
  }

  get nodeId(): number | undefined {
    return this.dataId === undefined ? undefined : (this.dataId - 0x100) >> 1;
  }

  /** True for what goes into the queue of admin frames: the controller's filter lets nothing else through. */
  isFor({ id }: CanFrame): boolean {
    return id === ADMIN_ID || (this.dataId !== undefined && id === this.dataId + 1);
  }

  /** The answer, if it has one. */
  receive({ id, data }: CanFrame): CanFrame | undefined {
    if (this.dataId !== undefined && id === this.dataId + 1) this.#conflict();
    const command = data[0];
    if (id !== ADMIN_ID || command === undefined) return undefined;
    const { setNodeId, clear } = COMMANDS[this.program];
    if (command === 0x00) return this.dataId === undefined ? this.#needNodeId(setNodeId) : undefined;
    if (command === setNodeId && data.length >= 8) this.#setNodeId(data);
    else if (command === 0x02 && this.program === 'klipper' && this.#isMeant(data)) this.#events.reboot();
    else if (command === clear) this.#set(0);
    return undefined;
  }

  #needNodeId(setNodeId: number): CanFrame {
    return { id: ANSWER_ID, data: Uint8Array.of(0x20, ...Buffer.from(this.uuid, 'hex'), setNodeId) };
  }

  #setNodeId(data: Uint8Array): void {
    const nodeId = data[7] ?? 0;
    if (this.#isMeant(data)) this.assign(nodeId);
    else if (nodeId === this.nodeId) this.#conflict();
  }

  /** Both lose the id; only Klipper makes a shutdown of it. */
  #conflict(): void {
    this.#set(0);
    if (this.program !== 'klipper') return;
    this.hasConflict = true;
    this.#events.conflict();
  }

  #set(assignedId: number): void {
    this.#assignedId = assignedId;
    this.#events.assigned?.();
  }

  #isMeant(data: Uint8Array): boolean {
    return data.length >= 7 && Buffer.from(data.subarray(1, 7)).toString('hex') === this.uuid;
  }
}
