// virtual silicon: what the ROM bootloader reads, erases and writes for the host, and what it refuses.
import { COMMAND, FIRST_BLOCK, STATUS } from './dfu-codes.ts';
import type { DfuStatus } from './dfu-codes.ts';
import type { FlashMemory, FlashResult } from './flash-memory.ts';
import { optionBytes } from './option-bytes.ts';
import type { RomSettings } from './rom-settings.ts';
import { flashSizeBytes, sectorAt } from './silicon.ts';
import type { McuSilicon } from './silicon.ts';

export type RomCommand =
  | { readonly kind: 'set-address' | 'erase'; readonly address: number }
  | { readonly kind: 'mass-erase' | 'read-unprotect' | 'unsupported' }
  | { readonly kind: 'write'; readonly block: number; readonly data: Uint8Array };

/** Decodes a DNLOAD with data, AN2662 figure 55. */
export function commandOf(block: number, data: Uint8Array): RomCommand {
  if (block >= FIRST_BLOCK) return { kind: 'write', block, data: data.slice() };
  const [code, ...rest] = data;
  const address = rest.reduceRight((high, byte) => high * 0x100 + byte, 0);
  if (code === COMMAND.SET_ADDRESS && data.length === 5) return { kind: 'set-address', address };
  if (code === COMMAND.ERASE && data.length === 5) return { kind: 'erase', address };
  if (code === COMMAND.ERASE && data.length === 1) return { kind: 'mass-erase' };
  if (code === COMMAND.READ_UNPROTECT && data.length === 1) return { kind: 'read-unprotect' };
  return { kind: 'unsupported' };
}

/** The H7 word, RM0468 section 4.3.9: what is lost by a read before a write. */
const WORD_BYTES = 32;

interface Readable {
  readonly address: number;
  readonly sizeBytes: number;
  readonly bytes: () => Uint8Array;
  /** `whole`: a read of any other size is refused. */
  readonly reads: 'any' | 'whole' | 'hang';
}

export class RomMemory {
  /** AN2662 section 4.4.1: "if no address is previously specified", the start of flash. */
  pointer: number;
  addressSet = false;
  readonly #mcu: McuSilicon;
  readonly #flash: FlashMemory;
  readonly #settings: RomSettings;
  readonly #transferSize: number;
  readonly #claimedEnd: number;
  readonly #others: readonly Readable[];
  /** The RAM buffer that blocks arrive in; it keeps what the last longer block left. */
  readonly #buffer: Uint8Array;
  #readSinceWrite = false;

  constructor(
    flash: FlashMemory,
    settings: RomSettings,
    uid: Uint8Array,
    limits: { readonly transferSize: number; readonly claimedFlashBytes: number },
  ) {
    this.#mcu = flash.mcu;
    this.#flash = flash;
    this.#settings = settings;
    this.#transferSize = limits.transferSize;
    this.#claimedEnd = this.#mcu.flashBase + limits.claimedFlashBytes;
    this.#buffer = new Uint8Array(limits.transferSize);
    this.#others = otherMemories(flash, settings, uid);
    this.pointer = this.#mcu.flashBase;
  }

  /** Does the work, in the chip's own time. `reset`: done, and the chip resets itself. */
  async execute(command: RomCommand): Promise<DfuStatus | 'reset'> {
    switch (command.kind) {
      case 'set-address':
        return this.#setAddress(command.address);
      case 'erase':
        return this.#erase(command.address);
      case 'mass-erase':
        return this.#massErase();
      case 'read-unprotect':
        return this.#readUnprotect();
      case 'write':
        return this.#write(this.#addressOf(command.block, command.data.length), command.data);
      case 'unsupported':
        // AN2662 figure 55: "Unsupported command: State = dfuERROR, Status = errSTALLEDPKT".
        return STATUS.errSTALLEDPKT;
    }
  }

  /** The bytes of an UPLOAD, a bStatus, or `hang` where the ROM's core does not survive the read. */
  read(block: number, length: number): Uint8Array | DfuStatus | 'hang' {
    if (this.#flash.readProtected) return STATUS.errVENDOR;
    const address = this.#addressOf(block, length);
    const other = this.#otherAt(address);
    if (other !== undefined) return this.#readOther(other, address, length);
    if (sectorAt(this.#mcu, address) === undefined && !this.#isBeyond(address)) return STATUS.errTARGET;
    const inFlash = Math.max(0, Math.min(length, this.#flashEnd - address));
    if (this.#settings.eccRead === 'hang' && inFlash > 0 && this.#flash.hasEccError(address, inFlash)) {
      return 'hang';
    }
    this.#readSinceWrite = true;
    const end = this.#settings.beyondFlash === 'silent' ? this.#claimedEnd : this.#flashEnd;
    const bytes = new Uint8Array(Math.max(0, Math.min(length, end - address))).fill(0xff);
    if (inFlash > 0) bytes.set(this.#flash.peek(address, inFlash));
    return this.#cut(bytes, length);
  }

  #otherAt(address: number): Readable | undefined {
    return this.#others.find((m) => address >= m.address && address < m.address + m.sizeBytes);
  }

  #readOther(other: Readable, address: number, length: number): Uint8Array | DfuStatus | 'hang' {
    if (other.reads === 'hang') return 'hang';
    if (other.reads === 'whole' && (address !== other.address || length !== other.sizeBytes))
      return STATUS.errTARGET;
    return this.#cut(other.bytes().slice(address - other.address), length);
  }

  get #flashEnd(): number {
    return this.#mcu.flashBase + flashSizeBytes(this.#mcu);
  }

  /** Promised by the memory string, absent from the chip, and served all the same. */
  #isBeyond(address: number): boolean {
    const promised = address >= this.#flashEnd && address < this.#claimedEnd;
    return promised && this.#settings.beyondFlash === 'silent';
  }

  #cut(bytes: Uint8Array, length: number): Uint8Array | DfuStatus {
    if (bytes.length >= length) return bytes.slice(0, length);
    return this.#settings.uploadPastEnd === 'short' ? bytes : STATUS.errTARGET;
  }

  #addressOf(block: number, length: number): number {
    const stride = this.#settings.blockStride === 'own-length' ? length : this.#transferSize;
    return this.pointer + (block - FIRST_BLOCK) * stride;
  }

  #setAddress(address: number): DfuStatus {
    if (this.#flash.readProtected && this.#settings.setAddressWhenProtected === 'errVENDOR') {
      return STATUS.errVENDOR;
    }
    const known =
      sectorAt(this.#mcu, address) !== undefined ||
      this.#isBeyond(address) ||
      this.#otherAt(address) !== undefined;
    if (!known) return STATUS.errTARGET;
    this.pointer = address;
    this.addressSet = true;
    return STATUS.OK;
  }

  async #erase(address: number): Promise<DfuStatus> {
    if (this.#flash.readProtected) return STATUS.errVENDOR;
    if (this.#isBeyond(address)) return STATUS.OK;
    if (sectorAt(this.#mcu, address) === undefined) return STATUS[this.#settings.eraseBadAddress];
    const result = await this.#flash.eraseSector(address);
    if (this.#settings.eraseMovesPointer) this.pointer = address;
    this.#erased();
    return this.#told(result, STATUS.errERASE);
  }

  async #massErase(): Promise<DfuStatus> {
    if (this.#flash.readProtected) return STATUS.errVENDOR;
    const status = this.#told(await this.#flash.massErase(), STATUS.errERASE);
    this.#erased();
    return status === STATUS.OK && this.#settings.massEraseEnd === 'errUNKNOWN' ? STATUS.errUNKNOWN : status;
  }

  async #readUnprotect(): Promise<DfuStatus | 'reset'> {
    if (!this.#flash.readProtected && this.#settings.unprotectOfOpenChip === 'nothing') return STATUS.OK;
    await this.#flash.removeReadProtection();
    return 'reset';
  }

  #erased(): void {
    if (this.#settings.readBeforeWrite === 'healed-by-erase') this.#readSinceWrite = false;
  }

  async #write(address: number, data: Uint8Array): Promise<DfuStatus> {
    if (this.#flash.readProtected) return STATUS.errVENDOR;
    const inFlash = Math.min(data.length, this.#flashEnd - address);
    if (inFlash < data.length && !this.#isBeyond(address + data.length - 1)) return STATUS.errTARGET;
    if (inFlash <= 0) return STATUS.OK;
    if (sectorAt(this.#mcu, address) === undefined) return STATUS.errTARGET;
    this.#buffer.set(data);
    const block = this.#wholeWords(data.subarray(0, inFlash));
    const faulty = this.#readSinceWrite && this.#settings.readBeforeWrite !== 'off';
    this.#readSinceWrite = false;
    const skipped = faulty ? WORD_BYTES : 0;
    if (block.length <= skipped) return STATUS.OK;
    return this.#told(await this.#flash.program(address + skipped, block.subarray(skipped)), STATUS.errWRITE);
  }

  /** What the ROM hands to a flash that only takes whole words. */
  #wholeWords(data: Uint8Array): Uint8Array {
    const rest = data.length % (this.#mcu.writeOnceWordBytes ?? 1);
    if (rest === 0 || this.#settings.lastWord === 'lost') return data.slice();
    const whole = data.length - rest + WORD_BYTES;
    if (this.#settings.lastWord === 'stale-bytes') return this.#buffer.slice(0, whole);
    const padded = new Uint8Array(whole).fill(0xff);
    padded.set(data);
    return padded;
  }

  #told(result: FlashResult, status: DfuStatus): DfuStatus {
    return result === 'ok' || this.#settings.flashErrors === 'silent' ? STATUS.OK : status;
  }
}

/** UID, size register, option bytes, OTP and Device Feature, as far as the settings serve them. */
function otherMemories(flash: FlashMemory, settings: RomSettings, uid: Uint8Array): readonly Readable[] {
  const { mcu } = flash;
  const memories: Readable[] = [];
  const add = (address: number, sizeBytes: number, bytes: () => Uint8Array, reads: Readable['reads']) =>
    memories.push({ address, sizeBytes, bytes, reads });
  if (settings.systemInfo === 'readable') {
    const kib = flashSizeBytes(mcu) / 1024;
    add(mcu.uidAddress, uid.length, () => uid, 'any');
    add(mcu.flashSizeRegister, 2, () => Uint8Array.of(kib & 0xff, kib >> 8), 'any');
  }
  if (settings.otherAlts !== 'refused') {
    // AN2662 section 4.4.1: "For Option Bytes: read size should be 16 bytes", all that an F1 or F4 has.
    const reads = settings.otherAlts === 'hang' ? 'hang' : 'whole';
    for (const region of mcu.optionBytes)
      add(region.address, region.sizeBytes, () => optionBytes(flash, region), reads);
    // Their content plays no part in flashing and is not recorded anywhere: blank.
    // Alt 3 of the F4 ROM: "@Device Feature/0xFFFF0000/01*004 e".
    const blank = [
      ...(mcu.otp === undefined ? [] : [mcu.otp]),
      ...(mcu.family === 'f4' ? [{ address: 0xffff0000, sizeBytes: 4 }] : []),
    ];
    for (const { address, sizeBytes } of blank)
      add(address, sizeBytes, () => new Uint8Array(sizeBytes).fill(0xff), 'any');
  }
  return memories;
}
