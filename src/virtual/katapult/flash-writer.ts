// Virtual bench, Katapult: how it writes the flash it runs from, block by block (Katapult 902f335, src/stm32/flash.c).

import type { ChipFlash } from '../cpu.ts';
import type { FlashWidth } from '../silicon/flash-memory.ts';
import { flashSizeBytes, sectorAt } from '../silicon/silicon.ts';
import type { KatapultSettings } from './settings.ts';

/** CONFIG_BLOCK_SIZE (src/stm32/Kconfig:515). */
export const BLOCK_BYTES = 64;

/** The core read what is not there: DefaultHandler turns round for ever (src/generic/armcm_canboot.c). */
export class HardFault extends Error {}

/** Reset or power fell in the middle: nobody is there any more to go on. */
export class Interrupted extends Error {}

/** flash_write_block and flash_complete of one family of chips. */
export interface BlockWriter {
  /** memcpy from wherever the host says. Throws HardFault where the core does not survive the read. */
  read(address: number, length: number): Uint8Array;
  /** False where it answers less than 0. Takes the flash's time. Throws HardFault and Interrupted. */
  write(address: number, data: Uint8Array): Promise<boolean>;
  /** What EOF is answered with. Throws Interrupted. */
  complete(): Promise<number>;
}

export class FlashWriter implements BlockWriter {
  readonly #flash: ChipFlash;
  readonly #settings: KatapultSettings;
  /** FLASH_CR_PSIZE_1 on F4; on H7 CR is written without PSIZE, which is bytes (erase_page, write_block). */
  readonly #width: FlashWidth;
  #pagesBegun = 0;

  constructor(flash: ChipFlash, settings: KatapultSettings) {
    this.#flash = flash;
    this.#settings = settings;
    this.#width = flash.mcu.family === 'h7' ? 'x8' : 'x32';
  }

  /** page_write_count: erase pages whose first block was written, over the firmware's life. */
  complete(): Promise<number> {
    return Promise.resolve(this.#pagesBegun);
  }

  /** memcpy from wherever the host says. Throws HardFault where the core does not survive the read. */
  read(address: number, length: number): Uint8Array {
    if (!this.#inFlash(address, length)) {
      if (this.#settings.outsideFlash === 'hang') throw new HardFault();
      return new Uint8Array(length);
    }
    this.#touch(address, length);
    return this.#flash.peek(address, length);
  }

  /**
   * flash_write_block: false where it answers less than 0. Takes the flash's time. Throws HardFault and Interrupted.
   * Only the first block of a page may replace anything, and it takes the whole page with it.
   */
  async write(address: number, data: Uint8Array): Promise<boolean> {
    if (address % BLOCK_BYTES !== 0) return false;
    const page = sectorAt(this.#flash.mcu, address);
    // Its first look at the page is a read. UNPROVEN kind reading: a write that nothing takes.
    if (page === undefined) return this.#same(address, data);
    if (page.address !== address) {
      if (!this.#isErased(address, BLOCK_BYTES)) return this.#same(address, data);
      return this.#program(address, data);
    }
    const isBlank = this.#isErased(address, page.sizeBytes);
    if (!isBlank) {
      const rest = page.sizeBytes - BLOCK_BYTES;
      if (this.#same(address, data) && this.#isErased(address + BLOCK_BYTES, rest)) return true;
    }
    this.#pagesBegun++;
    if (!isBlank && (await this.#flash.eraseSector(address, this.#width)) === 'interrupted')
      throw new Interrupted();
    return this.#program(address, data);
  }

  async #program(address: number, data: Uint8Array): Promise<boolean> {
    // What the flash refuses it does not look at: the comparison behind it tells.
    if ((await this.#flash.program(address, data, this.#width)) === 'interrupted') throw new Interrupted();
    return this.#same(address, data);
  }

  /** memcmp, which reads as far as the first difference. */
  #same(address: number, data: Uint8Array): boolean {
    if (!this.#inFlash(address, data.length)) return this.#isBytes(this.read(address, data.length), data);
    const there = this.#flash.peek(address, data.length);
    const differs = there.findIndex((byte, index) => byte !== data[index]);
    this.#touch(address, differs < 0 ? data.length : differs + 1);
    return differs < 0;
  }

  /** check_erased, which reads as far as the first word that is not blank. */
  #isErased(address: number, length: number): boolean {
    const there = this.#flash.peek(address, length);
    const used = there.findIndex((byte) => byte !== 0xff);
    this.#touch(address, used < 0 ? length : used + 1);
    return used < 0;
  }

  #touch(address: number, length: number): void {
    if (this.#settings.eccRead === 'hang' && this.#flash.hasEccError(address, length)) throw new HardFault();
  }

  #inFlash(address: number, length: number): boolean {
    const { mcu } = this.#flash;
    return address >= mcu.flashBase && address + length <= mcu.flashBase + flashSizeBytes(mcu);
  }

  #isBytes(there: Uint8Array, data: Uint8Array): boolean {
    return there.every((byte, index) => byte === data[index]);
  }
}
