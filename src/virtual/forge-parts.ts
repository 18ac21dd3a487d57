// Virtual bench, firmware: what all forged images are made of. No byte comes from a real image.

import { OctopusError } from '../errors.ts';
import { viewOf } from './seal.ts';

export type OctopusMcu = 'stm32f446xx' | 'stm32f429xx' | 'stm32f407xx' | 'stm32h723xx';
export type ToolheadMcu = 'stm32g0b1xx' | 'stm32f072xb' | 'rp2040';
export type ForgeMcu = OctopusMcu | ToolheadMcu;

/** Where a chip finds its first vectors. RP2040: behind the second stage (RP2040 datasheet section 2.8.1). */
export function bootAddress(mcu: ForgeMcu): number {
  return mcu === 'rp2040' ? 0x1000_0100 : 0x0800_0000;
}

/** Crystals of the Octopus boards (klipper-katapult-dfu.md section 1), and what toolheads usually have. */
export const CRYSTAL_HZ: Readonly<Record<ForgeMcu, number>> = {
  stm32f446xx: 12_000_000,
  stm32f429xx: 8_000_000,
  stm32f407xx: 8_000_000,
  stm32h723xx: 25_000_000,
  stm32g0b1xx: 8_000_000,
  stm32f072xb: 8_000_000,
  rp2040: 12_000_000,
};

/** Where an application behind the stock bootloader or Katapult starts (section 1; Katapult's Kconfig files). */
export const APP_ADDRESS: Readonly<Record<ForgeMcu, number>> = {
  stm32f446xx: 0x0800_8000,
  stm32f429xx: 0x0800_8000,
  stm32f407xx: 0x0800_8000,
  stm32h723xx: 0x0802_0000,
  stm32g0b1xx: 0x0800_2000,
  stm32f072xb: 0x0800_2000,
  rp2040: 0x1000_4000,
};

export function forgeMcu(name: string): ForgeMcu {
  if (isForgeMcu(name)) return name;
  throw new OctopusError('bad-parameter', `the forge knows no chip called ${name}`, {
    advice: `Use one of ${Object.keys(CRYSTAL_HZ).join(', ')}.`,
    place: name,
  });
}

function isForgeMcu(name: string): name is ForgeMcu {
  return Object.hasOwn(CRYSTAL_HZ, name);
}

export function isToolheadMcu(mcu: ForgeMcu): mcu is ToolheadMcu {
  return mcu === 'stm32g0b1xx' || mcu === 'stm32f072xb' || mcu === 'rp2040';
}

/** Numbers from a seed and a word, so that two versions of an image differ everywhere (mulberry32). */
export function randomFrom(seed: number, salt: string): () => number {
  let state = seed >>> 0;
  for (const char of salt) state = (Math.imul(state ^ (char.codePointAt(0) ?? 0), 0x0100_0193) + 1) >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** An image under construction: filler everywhere, real things put into it. */
export class ForgedImage {
  readonly bytes: Uint8Array;
  readonly #random: () => number;
  readonly #written: Uint8Array;

  constructor(sizeBytes: number, seed: number, salt: string) {
    this.#random = randomFrom(seed, salt);
    this.bytes = new Uint8Array(sizeBytes);
    for (let at = 0; at < sizeBytes; at++) this.bytes[at] = this.#random();
    this.#written = new Uint8Array(sizeBytes);
  }

  put(offset: number, bytes: Uint8Array): void {
    if (offset < 0 || offset + bytes.length > this.bytes.length) {
      throw new OctopusError('bad-parameter', `${bytes.length} bytes at ${offset} do not fit the image`, {
        advice: 'Forge a larger image.',
      });
    }
    this.bytes.set(bytes, offset);
    this.#written.fill(1, offset, offset + bytes.length);
  }

  word(offset: number, value: number): void {
    const bytes = new Uint8Array(4);
    viewOf(bytes).setUint32(0, value >>> 0, true);
    this.put(offset, bytes);
  }

  text(offset: number, text: string): void {
    this.put(offset, Uint8Array.from(Buffer.from(`${text}\0`, 'latin1')));
  }

  utf16(offset: number, text: string): void {
    this.put(offset, Uint8Array.from(Buffer.from(text, 'utf16le')));
  }

  /** Vectors from `first` up to `end` (exclusive), all to one handler, as an image without drivers has them. */
  vectors(first: number, end: number, handler: number): void {
    for (let index = first; index < end; index++) this.word(index * 4, handler);
  }

  /** No filler pair may look like the head of a zlib stream (78 DA): the dictionary alone has that. */
  finish(): Uint8Array {
    for (let index = 0; index + 1 < this.bytes.length; index++) {
      if (this.bytes[index] !== 0x78 || this.bytes[index + 1] !== 0xda) continue;
      if (this.#written[index + 1] === 0) this.bytes[index + 1] = 0x5a;
      else if (this.#written[index] === 0) this.bytes[index] = 0x58;
    }
    return this.bytes;
  }
}
