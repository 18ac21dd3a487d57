// Virtual bench, Klipper's firmware: the receiver of message blocks, written from docs/Protocol.md.

import { inflateSync } from 'node:zlib';
import { BLOCK, blockCrc, decodeVlq, encodeVlq, frameBlock } from './klipper-wire.ts';

interface Command {
  readonly name: string;
  /** True per parameter where it is a string with a length before it. */
  readonly strings: readonly boolean[];
}

/** Ids 0 and 1 are fixed (Protocol.md, "Data Dictionary"); all others come from the dictionary. */
const IDENTIFY_RESPONSE = 0;
const IDENTIFY = 1;

/**
 * One micro-controller's side of the conversation: bytes in, message blocks out. The sequence number lives as
 * long as the firmware runs, so a second host that starts at its own number is told the right one by a nak.
 */
export class KlipperMcu {
  readonly #dictionary: Uint8Array;
  readonly #send: (block: Uint8Array) => void;
  readonly #commands = new Map<number, Command>();
  readonly #responses = new Map<string, number>();
  readonly #startedAt: number;
  readonly #now: () => number;
  readonly #clockFreq: number;
  #received: number[] = [];
  #sequence: number = BLOCK.dest;
  #needSync = false;
  #needValid = false;
  #shutDown = false;

  constructor(dictionary: Uint8Array, now: () => number, send: (block: Uint8Array) => void) {
    this.#dictionary = dictionary;
    this.#send = send;
    this.#now = now;
    this.#startedAt = now();
    const parsed: {
      config: Record<string, unknown>;
      commands: Record<string, number>;
      responses: Record<string, number>;
    } = JSON.parse(inflateSync(dictionary).toString('utf8'));
    this.#clockFreq = Number(parsed.config['CLOCK_FREQ'] ?? 1_000_000);
    for (const [format, id] of Object.entries(parsed.commands)) {
      const [name = '', ...parameters] = format.split(' ');
      this.#commands.set(wireId(id), { name, strings: parameters.map((p) => p.endsWith('s')) });
    }
    for (const [format, id] of Object.entries(parsed.responses)) {
      this.#responses.set(format.split(' ')[0] ?? '', id);
    }
  }

  get shutDown(): boolean {
    return this.#shutDown;
  }

  /** For a reason of its own; it says so, and obeys no more than `identify` until it is reset. */
  shutdown(): void {
    if (!this.#shutDown) this.#shutdown();
  }

  receive(bytes: Uint8Array): void {
    this.#received.push(...bytes);
    while (this.#takeBlock());
  }

  /** One step of finding a block; false when more bytes are needed. */
  #takeBlock(): boolean {
    const buffer = this.#received;
    if (buffer.length > 0 && this.#needSync) return this.#skipToSync();
    const length = buffer[0];
    const sequence = buffer[1];
    if (length === undefined || sequence === undefined || buffer.length < BLOCK.min) return false;
    if (length < BLOCK.min || length > BLOCK.max) return this.#framingError();
    if ((sequence & ~BLOCK.seqMask) !== BLOCK.dest) return this.#framingError();
    if (buffer.length < length) return false;
    const block = Uint8Array.from(buffer.slice(0, length));
    const crc = blockCrc(block.subarray(0, length - BLOCK.trailer));
    const sound =
      block[length - 1] === BLOCK.sync &&
      block[length - 3] === crc >> 8 &&
      block[length - 2] === (crc & 0xff);
    if (!sound) return this.#framingError();
    this.#needValid = false;
    buffer.splice(0, length);
    if (sequence !== this.#sequence) {
      // A block was lost: everything else is discarded until it comes again.
      this.#acknowledge();
      return true;
    }
    this.#sequence = ((sequence + 1) & BLOCK.seqMask) | BLOCK.dest;
    this.#dispatch(block.subarray(BLOCK.header, length - BLOCK.trailer));
    this.#acknowledge();
    return true;
  }

  #framingError(): boolean {
    if (this.#received[0] === BLOCK.sync) {
      // A sync byte before a block is allowed and not worth a nak.
      this.#received.shift();
      return true;
    }
    this.#needSync = true;
    return this.#skipToSync();
  }

  #skipToSync(): boolean {
    const at = this.#received.indexOf(BLOCK.sync);
    if (at >= 0) this.#needSync = false;
    this.#received.splice(0, at < 0 ? this.#received.length : at + 1);
    // One nak per disturbance, however long it goes on.
    if (!this.#needValid) {
      this.#needValid = true;
      this.#acknowledge();
    }
    return true;
  }

  /** Ack and nak are one thing: an empty block with the number that is expected next. */
  #acknowledge(): void {
    this.#send(frameBlock(this.#sequence, new Uint8Array(0)));
  }

  #respond(content: number[]): void {
    this.#send(frameBlock(this.#sequence, Uint8Array.from(content)));
  }

  #dispatch(content: Uint8Array): void {
    let at = 0;
    while (at < content.length) {
      const first = content[at++] ?? 0;
      const id = (first & 0x80) === 0 ? first : ((first & 0x7f) << 7) | (content[at++] ?? 0);
      const command = this.#commands.get(id);
      if (command === undefined) {
        // "Invalid command": the firmware shuts down and drops the rest of the block.
        this.#shutdown();
        return;
      }
      const values: number[] = [];
      for (const isString of command.strings) {
        const parsed = decodeVlq(content, at);
        if (parsed === undefined || (isString && parsed.next + parsed.value > content.length)) {
          this.#shutdown();
          return;
        }
        values.push(parsed.value >>> 0);
        at = parsed.next + (isString ? parsed.value : 0);
      }
      this.#execute(id, command.name, values);
    }
  }

  #execute(id: number, name: string, values: readonly number[]): void {
    if (id === IDENTIFY) {
      this.#identify(values[0] ?? 0, (values[1] ?? 0) & 0xff);
      return;
    }
    if (this.#shutDown) {
      this.#respondByName('is_shutdown', [0]);
      return;
    }
    if (name === 'get_clock') this.#respondByName('clock', [this.#ticks()]);
    if (name === 'get_config') this.#respondByName('config', [0, 0, 0, 0]);
    // Everything else moves pins and motors that the bench does not have.
  }

  #identify(offset: number, count: number): void {
    const data = this.#dictionary.subarray(offset, offset + count);
    const head = [IDENTIFY_RESPONSE, ...encodeVlq(offset)];
    // What does not fit a block is dropped without a word; the ack comes all the same.
    if (data.length >= BLOCK.max - BLOCK.min - head.length) return;
    this.#respond([...head, data.length, ...data]);
  }

  #respondByName(name: string, values: readonly number[]): void {
    const id = this.#responses.get(name);
    if (id === undefined) return;
    this.#respond([id, ...values].flatMap((value) => encodeVlq(value)));
  }

  #shutdown(): void {
    this.#shutDown = true;
    this.#respondByName('shutdown', [this.#ticks(), 0]);
  }

  #ticks(): number {
    return Math.floor(((this.#now() - this.#startedAt) / 1000) * this.#clockFreq) >>> 0;
  }
}

/** An id of the dictionary, which may be negative, as the receiver reads its one or two bytes. */
function wireId(id: number): number {
  const [first = 0, second] = encodeVlq(id);
  return second === undefined ? first : ((first & 0x7f) << 7) | second;
}
