// A DfuSe ROM for fuzzing its driver: DFU 1.1 and AN3156 in a hundred lines, no time in it. It is not the virtual board's.
import type { DfuTransfer, TransferAnswer } from '../../src/protocol/dfu.ts';

const [DNLOAD, UPLOAD, GETSTATUS, CLRSTATUS, ABORT] = [1, 2, 3, 4, 6];
const [IDLE, SYNC, BUSY, DNLOAD_IDLE, MANIFEST, UPLOAD_IDLE, ERROR] = [2, 3, 4, 5, 7, 9, 10];
/** DFU 1.1, 6.1.2. */
const [ERR_ADDRESS, ERR_STALLED] = [8, 15];

export const CHIP = { base: 0x0800_0000, sizeBytes: 4096, sectorBytes: 1024 } as const;

export class DfuChip {
  readonly flash = new Uint8Array(CHIP.sizeBytes).fill(0xff);
  #state: number;
  #status = 0;
  #pointer: number = CHIP.base;
  #work: (() => boolean) | undefined;
  #pollsLeft = 0;
  readonly #blockBytes: number;
  /** How often it says dfuDNBUSY, and how long it asks to be left alone. */
  readonly #busy: { readonly polls: number; readonly pollMs: number };

  constructor(state: number, blockBytes: number, busy: { readonly polls: number; readonly pollMs: number }) {
    [this.#state, this.#blockBytes, this.#busy] = [state, blockBytes, busy];
  }

  answer(request: DfuTransfer): TransferAnswer {
    switch (request.setup.request) {
      case GETSTATUS:
        return this.#getStatus();
      case CLRSTATUS:
      case ABORT:
        if (request.setup.request === CLRSTATUS ? this.#state !== ERROR : this.#state === ERROR)
          return this.#stall();
        [this.#state, this.#status, this.#work] = [IDLE, 0, undefined];
        return 'ok';
      case DNLOAD:
        return request.kind === 'out' ? this.#download(request.setup.value, request.data) : this.#stall();
      case UPLOAD:
        return request.kind === 'in' ? this.#upload(request.setup.value, request.length) : this.#stall();
      default:
        return this.#stall();
    }
  }

  #download(block: number, data: Uint8Array): TransferAnswer {
    if ((this.#state !== IDLE && this.#state !== DNLOAD_IDLE) || data.length > this.#blockBytes)
      return this.#stall();
    this.#state = SYNC;
    this.#pollsLeft = this.#busy.polls;
    this.#work = block === 0 ? () => this.#command(data) : () => this.#program(block, data);
    if (data.length === 0) this.#work = undefined;
    return 'ok';
  }

  #command(data: Uint8Array): boolean {
    const address = new DataView(data.buffer, data.byteOffset, data.length).getUint32(1, true);
    const at = address - CHIP.base;
    if (at < 0 || at >= CHIP.sizeBytes) return false;
    if (data[0] === 0x21) this.#pointer = address;
    if (data[0] === 0x41) this.flash.fill(0xff, at, at + CHIP.sectorBytes);
    return data[0] === 0x21 || data[0] === 0x41;
  }

  /** AN2662: at the pointer plus (block - 2) times the length of the buffer. A bit goes from 1 to 0 only. */
  #program(block: number, data: Uint8Array): boolean {
    const at = this.#pointer - CHIP.base + (block - 2) * data.length;
    if (at < 0 || at + data.length > CHIP.sizeBytes) return false;
    for (const [index, byte] of data.entries()) this.flash[at + index] = (this.flash[at + index] ?? 0) & byte;
    return true;
  }

  #upload(block: number, length: number): TransferAnswer {
    const at = this.#pointer - CHIP.base + (block - 2) * length;
    if ((this.#state !== IDLE && this.#state !== UPLOAD_IDLE) || block < 2 || at < 0) return this.#stall();
    this.#state = UPLOAD_IDLE;
    return this.flash.slice(at, at + length);
  }

  #getStatus(): TransferAnswer {
    if (this.#state === SYNC && this.#work === undefined) this.#state = MANIFEST;
    else if (this.#state === SYNC) {
      const isDone = this.#work?.() === true;
      this.#work = () => isDone;
      this.#state = BUSY;
      return this.#report(this.#busy.pollMs);
    }
    if (this.#state === BUSY && this.#pollsLeft-- <= 1) {
      const isDone = this.#work?.() === true;
      this.#work = undefined;
      [this.#state, this.#status] = isDone ? [DNLOAD_IDLE, 0] : [ERROR, ERR_ADDRESS];
    }
    return this.#report(this.#state === BUSY ? this.#busy.pollMs : 0);
  }

  #report(pollMs: number): Uint8Array {
    return Uint8Array.of(this.#status, pollMs, pollMs >> 8, pollMs >> 16, this.#state, 0);
  }

  #stall(): TransferAnswer {
    if (this.#state !== ERROR) [this.#state, this.#status, this.#work] = [ERROR, ERR_STALLED, undefined];
    return 'stall';
  }
}
