// virtual silicon: the cells of one chip's flash, with NOR rules and write-once words. Knows no time.
import { OctopusError } from '../../errors.ts';
import { flashSizeBytes } from './silicon.ts';
import type { ChipSilicon, FlashSector } from './silicon.ts';
import { brokenWord, halfErased, halfProgrammed, randomFrom } from './torn-cells.ts';
import type { Random } from './torn-cells.ts';

export type FlashListener = (address: number, bytes: Uint8Array) => void;

function bitCount(byte: number): number {
  let count = 0;
  for (let rest = byte; rest > 0; rest &= rest - 1) count++;
  return count;
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

export class FlashCells {
  readonly #mcu: ChipSilicon;
  readonly #random: Random;
  readonly #bytes: Uint8Array;
  /** Words by index: programmed since the last erase, and with an ECC that does not fit. */
  readonly #written = new Set<number>();
  readonly #faulty = new Set<number>();
  readonly #listeners = new Set<FlashListener>();

  constructor(mcu: ChipSilicon, seed: number) {
    this.#mcu = mcu;
    this.#random = randomFrom(seed);
    this.#bytes = new Uint8Array(flashSizeBytes(mcu)).fill(0xff);
  }

  peek(address: number, length: number): Uint8Array {
    const from = this.#offset(address, length);
    return this.#bytes.slice(from, from + length);
  }

  load(address: number, bytes: Uint8Array): void {
    this.#offset(address, bytes.length);
    this.#store(address, bytes);
    this.#eachWord(address, bytes.length, (index, word) => {
      this.#faulty.delete(index);
      if (word.every((byte) => byte === 0xff)) this.#written.delete(index);
      else this.#written.add(index);
    });
  }

  hasEccError(address: number, length: number): boolean {
    let found = false;
    this.#offset(address, length);
    this.#eachWord(address, length, (index) => (found ||= this.#faulty.has(index)));
    return found;
  }

  onChange(listener: FlashListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  erase({ address, sizeBytes }: FlashSector): void {
    this.#eachWord(address, sizeBytes, (index) => {
      this.#written.delete(index);
      this.#faulty.delete(index);
    });
    this.#store(address, new Uint8Array(sizeBytes).fill(0xff));
  }

  tearErase({ address, sizeBytes }: FlashSector): void {
    this.#store(address, halfErased(this.peek(address, sizeBytes), this.#random));
    this.#spoilWords(address, sizeBytes);
  }

  /**
   * `broken`: a word was not virgin and is spoilt. `refused`: it was not and is as it was. `bitsLeftZero`: bits asked to
   * rise from 0 to 1, which NOR cannot.
   */
  program(address: number, wanted: Uint8Array): { broken: boolean; refused: boolean; bitsLeftZero: number } {
    const old = this.peek(address, wanted.length);
    let bitsLeftZero = 0;
    const result = wanted.map((byte, i) => {
      const before = old[i] ?? 0xff;
      bitsLeftZero += bitCount(byte & ~before & 0xff);
      return byte & before;
    });
    let broken = false;
    let refused = false;
    this.#eachWord(address, wanted.length, (index, word, at) => {
      if (this.#mcu.programmedAgain === 'refused') {
        // RM0444 section 3.7.4, RM0091 section 3.2.2: judged by what the word holds, and all zero is always taken.
        const isTaken = word.every((byte) => byte === 0xff) || isZero(wanted.subarray(at, at + word.length));
        if (!isTaken) result.set(word, at);
        refused ||= !isTaken;
        return;
      }
      // RM0468 section 4.3.9: a word that is not virgin gets an ECC that no longer fits its bits.
      if (this.#written.has(index)) {
        broken = true;
        this.#faulty.add(index);
        result.set(brokenWord(word, wanted.subarray(at, at + word.length), this.#random), at);
      }
      this.#written.add(index);
    });
    this.#store(address, result);
    return { broken, refused, bitsLeftZero };
  }

  /** The first `done` bytes are programmed, the unit after them is caught in the act. */
  tearProgram(address: number, wanted: Uint8Array, done: number, unitBytes: number): void {
    this.program(address, wanted.slice(0, done));
    const current = wanted.slice(done, done + unitBytes);
    const old = this.peek(address + done, current.length);
    this.#store(address + done, halfProgrammed(old, current, this.#random));
    this.#spoilWords(address + done, current.length);
  }

  #spoilWords(address: number, length: number): void {
    if (this.#mcu.wordEcc === false) return;
    this.#eachWord(address, length, (index) => {
      this.#written.add(index);
      this.#faulty.add(index);
    });
  }

  /** Each write-once word that `length` bytes at `address` touch, with its content; nothing on other chips. */
  #eachWord(
    address: number,
    length: number,
    visit: (index: number, word: Uint8Array, at: number) => void,
  ): void {
    const size = this.#mcu.writeOnceWordBytes;
    if (size === undefined || length === 0) return;
    const from = address - this.#mcu.flashBase;
    for (let index = Math.floor(from / size); index * size < from + length; index++) {
      visit(index, this.#bytes.subarray(index * size, (index + 1) * size), index * size - from);
    }
  }

  #store(address: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#bytes.set(bytes, address - this.#mcu.flashBase);
    for (const listener of this.#listeners) listener(address, bytes);
  }

  #offset(address: number, length: number): number {
    const from = address - this.#mcu.flashBase;
    if (from >= 0 && from + length <= this.#bytes.length) return from;
    const place = `0x${address.toString(16)}`;
    throw new OctopusError('internal', `${this.#mcu.name} has no ${length} bytes of flash there`, {
      advice: 'This is a fault of the virtual bench: it asked the chip for what it does not have.',
      place,
    });
  }
}
