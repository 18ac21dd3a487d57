// Chance that can be had again: every input of a fuzz run follows from its target's seed and its own number alone.

/** Doty-Humphrey's sfc32 (PractRand): small, fast, and with no bad seeds known. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(...seed: readonly number[]) {
    let mixed = 0x9e37_79b9;
    for (const part of seed) {
      mixed = Math.imul(mixed ^ part, 0x85eb_ca6b);
      mixed ^= mixed >>> 13;
      mixed = Math.imul(mixed, 0xc2b2_ae35);
      mixed ^= mixed >>> 16;
    }
    [this.#a, this.#b, this.#c] = [mixed, ~mixed, Math.imul(mixed, 0x27d4_eb2f)];
    for (let round = 0; round < 12; round++) this.next();
  }

  /** 32 bits. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }

  /** From 0 to `end`, without it; 0 where there is nothing to choose. */
  below(end: number): number {
    return end <= 0 ? 0 : Math.floor((this.next() / 0x1_0000_0000) * end);
  }

  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** One time in `times`. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  /** Mostly few, sometimes many: each more is half as likely. */
  few(most: number): number {
    let count = 1;
    while (count < most && this.oneIn(2)) count += 1;
    return count;
  }

  pick<T>(from: readonly T[]): T {
    const one = from[this.below(from.length)];
    if (from.length === 0) throw new RangeError('there is nothing to choose from');
    return one as T;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at++) bytes[at] = this.next();
    return bytes;
  }

  shuffled<T>(from: readonly T[]): T[] {
    const all = [...from];
    for (let at = all.length - 1; at > 0; at--) {
      const other = this.below(at + 1);
      [all[at], all[other]] = [all[other] as T, all[at] as T];
    }
    return all;
  }
}
