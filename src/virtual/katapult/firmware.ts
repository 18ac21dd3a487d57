// Virtual bench, Katapult: the bootloader's main loop behind any wire: it finds frames, obeys them and answers
// (Katapult 902f335, src/command.c and src/flashcmd.c). USB and CAN bring bytes to it and carry its answers away.

import { after, type BenchClock } from '../clock.ts';
import type { ChipFlash } from '../cpu.ts';
import { BLOCK_BYTES, FlashWriter, HardFault, Interrupted, type BlockWriter } from './flash-writer.ts';
import {
  COMMAND,
  encodeFrame,
  FrameReceiver,
  PROTOCOL_WORD,
  RESPONSE,
  type KatapultProtocol,
} from './frames.ts';
import { PageBufferWriter } from './page-buffer.ts';
import { UNKIND_KATAPULT, type KatapultSettings } from './settings.ts';

/** From COMPLETE to application_jump (src/flashcmd.c, complete_endtime). */
export const COMPLETE_TO_JUMP_MS = 100;

export interface KatapultParts {
  readonly clock: BenchClock;
  readonly flash: ChipFlash;
  /** CONFIG_MCU: `stm32f446xx`. */
  readonly mcu: string;
  readonly version: string;
  /** Default 1.1. */
  readonly protocol?: KatapultProtocol;
  /** CONFIG_LAUNCH_APP_ADDRESS: nothing below it is ever written. */
  readonly appAddress: number;
  /** 12 hex digits, in a build that speaks CAN; a USB build knows no GET_CANBUS_ID. */
  readonly canUuid?: string;
  readonly settings?: KatapultSettings;
  /** console_sendf: one whole message. The transport drops what finds no room, and tells nobody. */
  readonly respond: (message: Uint8Array) => void;
  /** application_jump: the START_APP word and SYSRESETREQ, 100 ms after COMPLETE, whatever lies in flash. */
  readonly jump: () => void;
}

/** What became of the front of a receive buffer: see `Found`. */
export interface Step {
  readonly took: number;
  readonly ret: -1 | 0 | 1;
}

const NOTHING_DONE: Step = { took: 0, ret: 0 };

export class KatapultFirmware {
  readonly #parts: KatapultParts;
  readonly #receiver = new FrameReceiver();
  readonly #writer: BlockWriter;
  #isHung = false;
  #isStopped = false;
  #isBusy = false;
  #jumpIsDue = false;
  #cancelJump: () => void = () => {};

  constructor(parts: KatapultParts) {
    this.#parts = parts;
    const Writer = parts.flash.mcu.family === 'rp2040' ? PageBufferWriter : FlashWriter;
    this.#writer = new Writer(parts.flash, parts.settings ?? UNKIND_KATAPULT);
  }

  /** A hard fault: it reads nothing more, answers nothing more, on endpoint 0 neither, and never jumps. */
  get isHung(): boolean {
    return this.#isHung;
  }

  /** The receiver is stuck at one byte until a reset: each step gives -1 and takes nothing. */
  get isWedged(): boolean {
    return this.#receiver.isWedged;
  }

  /** Erasing or programming: the core stands still meanwhile, since its code lies in the same flash. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /**
   * command_find_and_dispatch on the front of a receive buffer. The caller removes `took` bytes where `ret` is not 0,
   * and comes again while bytes are left. A 0 waits for more bytes; -1 with nothing taken may be a frame found behind
   * garbage, so only `isWedged` and `isHung` say that coming again is of no use. One step at a time: nothing else runs
   * on the chip until this resolves.
   */
  async step(buffer: Uint8Array): Promise<Step> {
    if (this.#isHung || this.#isStopped) return NOTHING_DONE;
    const { took, ret, nack } = this.#receiver.find(buffer);
    if (nack) this.#respond(RESPONSE.nack, []);
    if (ret !== 1) return { took, ret };
    this.#isBusy = true;
    try {
      await this.#dispatch(buffer.slice(0, took));
    } catch (error) {
      if (error instanceof HardFault) this.#isHung = true;
      else if (!(error instanceof Interrupted)) throw error;
      return NOTHING_DONE;
    } finally {
      this.#isBusy = false;
    }
    if (this.#jumpIsDue) this.#jump();
    return { took, ret };
  }

  /** Reset or power falls. The flash is told by whoever pulls it down. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelJump();
  }

  async #dispatch(frame: Uint8Array): Promise<void> {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    // data[1], there or not: in a frame without payload it is CRC and trailer.
    const argument = view.getUint32(4, true);
    switch (view.getUint8(2)) {
      case COMMAND.connect:
        this.#connect();
        return;
      case COMMAND.sendBlock:
        await this.#sendBlock(frame, argument);
        return;
      case COMMAND.sendEof:
        this.#acknowledge(COMMAND.sendEof, [await this.#writer.complete()]);
        return;
      case COMMAND.requestBlock: {
        const block = this.#writer.read(argument, BLOCK_BYTES);
        this.#acknowledge(COMMAND.requestBlock, [argument, ...wordsOf(block)]);
        return;
      }
      case COMMAND.complete:
        this.#complete();
        return;
      case COMMAND.getCanbusId:
        this.#canbusId();
        return;
      default:
        this.#respond(RESPONSE.error, []);
    }
  }

  #connect(): void {
    const { mcu, version, appAddress, protocol = '1.1' } = this.#parts;
    const head = [PROTOCOL_WORD[protocol], appAddress, BLOCK_BYTES, ...textWords(mcu)];
    // 1.1: out[6 + mcuwords], so that a whole word of zeros stands between the name's last word and the version.
    this.#acknowledge(COMMAND.connect, protocol === '1.0' ? head : [...head, 0, ...textWords(version)]);
  }

  async #sendBlock(frame: Uint8Array, address: number): Promise<void> {
    const hasAllWords = frame[3] === BLOCK_BYTES / 4 + 1;
    const data = frame.subarray(8, 8 + BLOCK_BYTES);
    if (!hasAllWords || address < this.#parts.appAddress || !(await this.#writer.write(address, data))) {
      this.#respond(RESPONSE.error, []);
      return;
    }
    this.#acknowledge(COMMAND.sendBlock, [address]);
  }

  /** Whether there is an application or not. A second one puts it off. */
  #complete(): void {
    this.#acknowledge(COMMAND.complete, []);
    this.#cancelJump();
    this.#jumpIsDue = false;
    this.#cancelJump = after(this.#parts.clock, COMPLETE_TO_JUMP_MS, () => {
      if (this.#isBusy) this.#jumpIsDue = true;
      else this.#jump();
    });
  }

  #jump(): void {
    if (this.#isHung || this.#isStopped) return;
    this.stop();
    this.#parts.jump();
  }

  #canbusId(): void {
    const { canUuid } = this.#parts;
    if (canUuid === undefined) {
      this.#respond(RESPONSE.error, []);
      return;
    }
    const id = new Uint8Array(8);
    id.set(Buffer.from(canUuid, 'hex').subarray(0, 6));
    this.#acknowledge(COMMAND.getCanbusId, wordsOf(id));
  }

  #acknowledge(command: number, words: readonly number[]): void {
    this.#respond(RESPONSE.ack, [command, ...words]);
  }

  #respond(kind: number, words: readonly number[]): void {
    if (!this.#isStopped) this.#parts.respond(encodeFrame(kind, Uint32Array.from(words)));
  }
}

/** Little-endian words of bytes, the last one filled up with zeros. */
function wordsOf(bytes: Uint8Array): number[] {
  const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  padded.set(bytes);
  const view = new DataView(padded.buffer);
  return Array.from({ length: padded.length / 4 }, (_, index) => view.getUint32(4 * index, true));
}

function textWords(text: string): number[] {
  return wordsOf(Uint8Array.from(Buffer.from(text, 'latin1')));
}
