// A Katapult for tests of its driver: takes the bytes of each write, gives the bytes of its answers. Its rules are those
// of Katapult's sources (src/command.c, command_find_block; src/flashcmd.c; src/stm32/flash.c, flash_write_block), and it
// counts what a host must not do: too many answers unread, a page-first block while other frames are under way.
import { crc16 } from '../../src/protocol/crc16.ts';

export interface PeerOptions {
  readonly mcu?: string;
  readonly version?: string | null;
  /** PROTO_VERSION, three bytes. */
  readonly protocol?: number;
  readonly flashBase?: number;
  readonly flashBytes?: number;
  readonly applicationAddress?: number;
  readonly blockBytes?: number;
  readonly pageBytes?: (address: number) => number;
  /** Of a CAN build; a USB build answers its question with an error. */
  readonly uuid?: string;
  /** Words take one programming per erase, as on an H7: bytes. */
  readonly onceBytes?: number;
}

/** Stored frames as hex, for vectors. */
export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
export const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

export function f446Page(address: number): number {
  if (address < 0x08010000) return 0x4000;
  return address < 0x08020000 ? 0x10000 : 0x20000;
}

export class KatapultPeer {
  readonly flash: Uint8Array;
  /** The command byte of each whole frame that was understood. */
  readonly commands: number[] = [];
  /** Addresses of the pages that were erased, in order. */
  readonly erased: number[] = [];
  /** Addresses of the blocks that were programmed, in order. */
  readonly programmed: number[] = [];
  /** What no host may do. */
  readonly offences: string[] = [];
  isWedged = false;
  isBooted = false;
  /** Its flash's words that were programmed since their page's erase. */
  readonly #once = new Set<number>();
  readonly #options: Required<Omit<PeerOptions, 'uuid' | 'onceBytes'>> & PeerOptions;
  #received = new Uint8Array(0);

  constructor(options: PeerOptions = {}) {
    this.#options = {
      mcu: 'stm32f446xx',
      version: 'v0.0.1-109-g902f335',
      protocol: 0x00010100,
      flashBase: 0x08000000,
      flashBytes: 0x80000,
      applicationAddress: 0x08008000,
      blockBytes: 64,
      pageBytes: f446Page,
      ...options,
    };
    this.flash = new Uint8Array(this.#options.flashBytes).fill(0xff);
  }

  at(address: number, length: number): Uint8Array {
    const from = address - this.#options.flashBase;
    return this.flash.subarray(from, from + length);
  }

  /** What it answers to these bytes, one entry per answer. */
  receive(bytes: Uint8Array): Uint8Array[] {
    if (this.isBooted) return [];
    this.#received = Uint8Array.from([...this.#received, ...bytes]);
    const answers: Uint8Array[] = [];
    while (!this.isWedged) {
      const buffer = this.#received;
      const length = (buffer[3] ?? 0) * 4 + 8;
      if (buffer.length < 8) break;
      const isBegun = buffer[0] === 0x01 && buffer[1] === 0x88 && length <= 128;
      if (isBegun && buffer.length < length) break;
      const crc = (buffer[length - 4] ?? 0) | ((buffer[length - 3] ?? 0) << 8);
      const isSound =
        isBegun &&
        buffer[length - 2] === 0x99 &&
        buffer[length - 1] === 0x03 &&
        crc16(buffer.subarray(2, length - 4)) === crc;
      if (isSound) {
        this.#received = buffer.slice(length);
        const answer = this.#carryOut(buffer[2] ?? 0, buffer.slice(4, length - 4));
        if (answer !== undefined) answers.push(answer);
        continue;
      }
      // The search for the next 0x01 begins with the byte that stands there.
      const next = buffer.indexOf(0x01);
      this.isWedged = next === 0;
      this.#received = next < 0 ? new Uint8Array(0) : buffer.slice(next);
      answers.push(frame(0xf1));
    }
    return answers;
  }

  #carryOut(command: number, payload: Uint8Array): Uint8Array | undefined {
    this.commands.push(command);
    const { applicationAddress, blockBytes, mcu, version, protocol, uuid } = this.#options;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    switch (command) {
      case 0x11: {
        const text = [...padded(mcu), 0, 0, 0, 0, ...(version === null ? [] : padded(version))];
        const words = [...u32(protocol), ...u32(applicationAddress), ...u32(blockBytes)];
        return ack(command, [...words, ...(version === null ? padded(mcu) : text)]);
      }
      case 0x12: {
        const address = view.getUint32(0, true);
        if (payload.length !== blockBytes + 4 || !this.write(address, payload.subarray(4)))
          return frame(0xf2);
        return ack(command, u32(address));
      }
      case 0x13:
        return ack(command, u32(this.erased.length));
      case 0x14: {
        const address = view.getUint32(0, true);
        const from = address - this.#options.flashBase;
        if (from < 0 || from + blockBytes > this.flash.length) {
          this.offences.push(`read at ${address.toString(16)} hangs the chip`);
          this.isWedged = true;
          return undefined;
        }
        return ack(command, [...u32(address), ...this.at(address, blockBytes)]);
      }
      case 0x15:
        this.isBooted = true;
        return ack(command, []);
      case 0x16:
        if (uuid === undefined) return frame(0xf2);
        return ack(command, [...bytesOf(uuid), 0, 0]);
      default:
        return frame(0xf2);
    }
  }

  /** What SEND_BLOCK does: src/stm32/flash.c, flash_write_block. */
  write(address: number, bytes: Uint8Array): boolean {
    const { applicationAddress, blockBytes, flashBase, pageBytes } = this.#options;
    if (address < applicationAddress || address % blockBytes !== 0) return false;
    const size = pageBytes(address);
    const page = flashBase + Math.floor((address - flashBase) / size) * size;
    const isBlank = (from: number, length: number) => this.at(from, length).every((byte) => byte === 0xff);
    const isSame = hexOf(this.at(address, blockBytes)) === hexOf(bytes);
    if (address === page) {
      if (!isBlank(page, size)) {
        if (isSame && isBlank(page + blockBytes, size - blockBytes)) return true;
        this.at(page, size).fill(0xff);
        for (const word of this.#once) if (word >= page && word < page + size) this.#once.delete(word);
        this.erased.push(page);
      }
    } else if (!isBlank(address, blockBytes)) {
      return isSame;
    }
    for (let at = address; at < address + blockBytes; at += this.#options.onceBytes ?? Infinity) {
      if (this.#options.onceBytes === undefined) break;
      if (this.#once.has(at)) this.offences.push(`${at.toString(16)} was programmed twice`);
      this.#once.add(at);
    }
    this.at(address, blockBytes).set(bytes);
    this.programmed.push(address);
    return true;
  }
}

const u32 = (value: number): number[] => [
  value & 0xff,
  (value >>> 8) & 0xff,
  (value >>> 16) & 0xff,
  value >>> 24,
];

const padded = (text: string): number[] => {
  const bytes = [...Buffer.from(text, 'ascii')];
  while (bytes.length % 4 !== 0) bytes.push(0);
  return bytes;
};

function frame(kind: number, payload: readonly number[] = []): Uint8Array {
  const checked = Uint8Array.of(kind, payload.length / 4, ...payload);
  const crc = crc16(checked);
  return Uint8Array.of(0x01, 0x88, ...checked, crc & 0xff, crc >>> 8, 0x99, 0x03);
}

const ack = (command: number, body: readonly number[]): Uint8Array => frame(0xa0, [...u32(command), ...body]);
