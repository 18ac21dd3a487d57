// The moments of a process on the bench, numbered: each transfer on a wire when it happens, each other thing that it does,
// before and after. At one of them something goes wrong.
import type { CanFrame } from '../../src/ports/can.ts';
import type { ByteFault } from '../../src/virtual/byte-faults.ts';
import type { FrameFault } from '../../src/virtual/can-wire.ts';
import type { TransferFault } from '../../src/virtual/usb-bus.ts';
import type { SetupPacket } from '../../src/virtual/usb-function.ts';
import type { Chip, World } from './ways.ts';

export interface Moment {
  /** From 1 on. */
  readonly n: number;
  readonly wire: 'dfu' | 'tty' | 'can' | 'none';
  /** Of alike moments the same word: `dnload`, `in send-block`, `gpio.set nrst low`. */
  readonly what: string;
  /** The device says something there that can be misheard. */
  readonly isAnswer: boolean;
}

/** What becomes of the transfer of a moment. */
export type Trouble = 'unplug' | 'power-cut' | 'lost' | 'doubled' | 'flipped' | { readonly lateMs: number };

export type Strike = (moment: Moment) => Trouble | undefined;

export class Timeline {
  readonly moments: Moment[] = [];
  #strike: Strike | undefined;

  /** @param strike called at each moment, in the middle of it */
  constructor(strike?: Strike) {
    this.#strike = strike;
  }

  /** From here on nothing is counted. */
  end(): void {
    this.#strike = undefined;
    this.#isOver = true;
  }
  #isOver = false;

  pass(wire: Moment['wire'], what: string, isAnswer = false): Trouble | undefined {
    if (this.#isOver) return undefined;
    const moment = { n: this.moments.length + 1, wire, what, isAnswer };
    this.moments.push(moment);
    return this.#strike?.(moment);
  }
}

/** All wires of the bench tell this timeline. */
export function follow({ bench, chip }: Pick<World, 'bench' | 'chip'>, timeline: Timeline): void {
  const names = new Naming();
  bench.faults.beforeTransfer = (_n, setup, data) =>
    onDfu(timeline.pass('dfu', dfuName(setup, data), (setup.bmRequestType & 0x80) !== 0));
  bench.faults.beforeBytes = (_n, direction, bytes) =>
    onTty(timeline.pass('tty', `${direction} ${names.ofBytes(bytes)}`, direction === 'in'));
  bench.can.wire.faults.onFrame = (_n, frame) =>
    onCan(timeline.pass('can', names.ofFrame(frame), (frame.id & 1) === 1), bench, chip);
}

function onDfu(trouble: Trouble | undefined): TransferFault | undefined {
  return trouble === 'lost' ? 'lost-answer' : trouble;
}

function onTty(trouble: Trouble | undefined): ByteFault | undefined {
  return trouble === 'flipped' ? 'corrupted' : trouble;
}

/** A cable or a supply is the bench's business, not the frame's. */
function onCan(trouble: Trouble | undefined, bench: World['bench'], chip: Chip): FrameFault | undefined {
  if (trouble === 'unplug') bench.can.unplugAdapter();
  else if (trouble === 'power-cut') chip.powerCut();
  else return trouble === 'flipped' ? 'corrupted' : trouble;
  return 'lost';
}

const DFU_NAMES = ['detach', 'dnload', 'upload', 'getstatus', 'clrstatus', 'getstate', 'abort'];
/** DfuSe: what a DNLOAD of block 0 begins with (AN3156 table 3 and 4). */
const DFUSE_COMMANDS: Readonly<Record<number, string>> = {
  0x21: 'set-address',
  0x41: 'erase',
  0x92: 'unprotect',
};

function dfuName({ bmRequestType, bRequest, wValue }: SetupPacket, data: Uint8Array): string {
  if ((bmRequestType & 0x60) !== 0x20) return bRequest === 6 ? 'get-descriptor' : `standard-${bRequest}`;
  const name = DFU_NAMES[bRequest] ?? `class-${bRequest}`;
  if (name === 'dnload' && wValue === 0) return DFUSE_COMMANDS[data[0] ?? 0] ?? 'dnload-0';
  return name;
}

/** Katapult's commands (src/command.h); an answer names in its first word what it answers. */
const KATAPULT: Readonly<Record<number, string>> = {
  0x11: 'connect',
  0x12: 'send-block',
  0x13: 'eof',
  0x14: 'request-block',
  0x15: 'complete',
  0x16: 'get-canbus-id',
  0xa0: 'ack',
  0xf1: 'nack',
  0xf2: 'command-error',
  0xf3: 'busy',
};

class Naming {
  /** A frame holds eight bytes of a message: the rest is named after its head. */
  readonly #heads = new Map<number, string>();

  ofBytes(bytes: Uint8Array): string {
    if (bytes[0] !== 0x01 || bytes[1] !== 0x88) return 'klipper';
    const command = KATAPULT[bytes[2] ?? 0] ?? 'unknown';
    if (command !== 'ack') return command;
    return `ack ${KATAPULT[bytes[4] ?? 0] ?? ''}`.trim();
  }

  ofFrame({ id, data }: CanFrame): string {
    const direction = (id & 1) === 1 ? 'in' : 'out';
    if (id === 0x3f0 || id === 0x3f1) return `${direction} admin ${data[0]?.toString(16) ?? ''}`;
    const isHead = data[0] === 0x01 && data[1] === 0x88;
    if (isHead) this.#heads.set(id, this.ofBytes(data));
    const head = this.#heads.get(id) ?? 'klipper';
    return isHead ? `${direction} ${head}` : `${direction} ${head}, more`;
  }
}
