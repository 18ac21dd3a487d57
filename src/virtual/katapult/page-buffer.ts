// Virtual bench, Katapult: how it writes the flash beside an RP2040, through a buffer of one page (Katapult 902f335,
// src/rp2040/flash.c). An answer says that a block lies in the buffer, no more: nothing is compared, and what REQUEST_BLOCK
// reads is the flash.

import type { ChipFlash } from '../cpu.ts';
import { flashSizeBytes } from '../silicon/silicon.ts';
import { BLOCK_BYTES, HardFault, Interrupted, type BlockWriter } from './flash-writer.ts';
import type { KatapultSettings } from './settings.ts';

const PAGE_BYTES = 256;
const SECTOR_BYTES = 4096;

export class PageBufferWriter implements BlockWriter {
  readonly #flash: ChipFlash;
  readonly #settings: KatapultSettings;
  #buffer: { readonly address: number; readonly bytes: Uint8Array } | undefined;
  #pagesWritten = 0;

  constructor(flash: ChipFlash, settings: KatapultSettings) {
    this.#flash = flash;
    this.#settings = settings;
  }

  read(address: number, length: number): Uint8Array {
    if (this.#inFlash(address, length)) return this.#flash.peek(address, length);
    if (this.#settings.outsideFlash === 'hang') throw new HardFault();
    return new Uint8Array(length);
  }

  /** Another page than the one in the buffer: that one is programmed first. */
  async write(address: number, data: Uint8Array): Promise<boolean> {
    if (address % BLOCK_BYTES !== 0 || !this.#inFlash(address, BLOCK_BYTES)) return false;
    const page = address - (address % PAGE_BYTES);
    if (this.#buffer !== undefined && this.#buffer.address !== page) await this.#flush();
    this.#buffer ??= { address: page, bytes: new Uint8Array(PAGE_BYTES).fill(0xff) };
    this.#buffer.bytes.set(data, address - page);
    return true;
  }

  async complete(): Promise<number> {
    await this.#flush();
    return this.#pagesWritten;
  }

  /** A sector is erased with its first page, and only with that one, whatever the others hold. */
  async #flush(): Promise<void> {
    const page = this.#buffer;
    if (page === undefined) return;
    if (page.address % SECTOR_BYTES === 0) await this.#do(this.#flash.eraseSector(page.address));
    await this.#do(this.#flash.program(page.address, page.bytes));
    this.#pagesWritten++;
    this.#buffer = undefined;
  }

  async #do(work: Promise<unknown>): Promise<void> {
    if ((await work) === 'interrupted') throw new Interrupted();
  }

  #inFlash(address: number, length: number): boolean {
    const { mcu } = this.#flash;
    return address >= mcu.flashBase && address + length <= mcu.flashBase + flashSizeBytes(mcu);
  }
}
