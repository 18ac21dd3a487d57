// virtual silicon: the ROM bootloader's DFU states, DFU 1.1 appendix A as ST bends it (AN2662, AN3156).
import type { Clock } from '../../ports/clock.ts';
import type { SetupPacket } from '../usb-function.ts';
import { COMMANDS, FIRST_BLOCK, REQUEST, STATE, STATUS } from './dfu-codes.ts';
import type { DfuState, DfuStatus } from './dfu-codes.ts';
import type { RomMemory } from './rom-memory.ts';
import type { RomSettings } from './rom-settings.ts';
import { RomWork } from './rom-work.ts';

export interface DfuMachineOptions {
  readonly memory: RomMemory;
  readonly clock: Clock;
  readonly settings: RomSettings;
  readonly transferSize: number;
  readonly heldMs: number;
  /** Aborted when the chip stops; everything that waits ends then. */
  readonly stopped: AbortSignal;
  onLeave(address: number): void;
  onReset(): void;
}

type Answer = Uint8Array | 'stall';
const ACK = new Uint8Array(0);

/** AN2662 section 4.4.1: "read size can be from 2 to 2048 bytes". */
const SHORTEST_UPLOAD_BYTES = 2;

export class DfuMachine {
  readonly #options: DfuMachineOptions;
  readonly #settings: RomSettings;
  #state: DfuState;
  #status: DfuStatus;
  #work: RomWork | undefined;
  #leaving = false;

  constructor(options: DfuMachineOptions) {
    this.#options = options;
    this.#settings = options.settings;
    const cold = options.settings.coldStart === 'error-firmware';
    this.#state = cold ? STATE.dfuERROR : STATE.dfuIDLE;
    this.#status = cold ? STATUS.errFIRMWARE : STATUS.OK;
  }

  /** True while flash works for this machine. */
  get working(): boolean {
    return this.#work?.underWay ?? false;
  }

  async handle(setup: SetupPacket, data: Uint8Array): Promise<Answer> {
    const { bRequest } = setup;
    if (this.#leaving) return this.#whileLeaving(bRequest);
    if (bRequest === REQUEST.GETSTATUS) return this.#getStatus();
    if (this.#state === STATE.dfuDNBUSY) return this.#whileBusy(bRequest);
    switch (bRequest) {
      case REQUEST.DNLOAD:
        return this.#download(setup.wValue, data);
      case REQUEST.UPLOAD:
        return this.#upload(setup.wValue, setup.wLength);
      case REQUEST.CLRSTATUS:
        return this.#clearStatus();
      case REQUEST.GETSTATE:
        return Uint8Array.of(this.#state);
      case REQUEST.ABORT:
        return this.#abort();
      default:
        // DETACH among them: dfu-util -R prints "can't detach" on F4 (real-silicon.md section 4).
        return this.#stall();
    }
  }

  async #download(block: number, data: Uint8Array): Promise<Answer> {
    const ready = this.#state === STATE.dfuIDLE || this.#state === STATE.dfuDNLOAD_IDLE;
    // G431 stalls on 2048 bytes where wTransferSize is 1024: web-stm32-updater#3.
    if (!ready || data.length > this.#options.transferSize) return this.#stall();
    if (data.length === 0) {
      this.#state = STATE.dfuMANIFEST_SYNC;
      if (this.#settings.leave === 'at-dnload' && this.#mayLeave()) this.#depart();
      return ACK;
    }
    // AN2662 figure 55: neither a command nor a block.
    if (block > 0 && block < FIRST_BLOCK) return this.#stall();
    this.#work = new RomWork(block, data, { ...this.#options, onReset: () => this.#reset() });
    this.#state = STATE.dfuDNLOAD_SYNC;
    if (this.#settings.heldRequest === 'dnload') await this.#work.held();
    return ACK;
  }

  async #getStatus(): Promise<Answer> {
    const work = this.#work;
    if (this.#state === STATE.dfuMANIFEST_SYNC) return this.#manifest();
    if (work !== undefined && this.#state === STATE.dfuDNLOAD_SYNC) {
      // "The command is effectively executed only when a DFU_GETSTATUS request is issued": AN2662.
      if (this.#settings.heldRequest === 'first-getstatus') await work.held();
      else work.begin();
      if (work.outcome === 'reset') return 'stall';
      this.#state = STATE.dfuDNBUSY;
      return this.#report(work.pollMs);
    }
    if (work !== undefined && this.#state === STATE.dfuDNBUSY) {
      if (this.#settings.heldRequest === 'second-getstatus') await work.held();
      if (work.outcome === 'reset') return 'stall';
      if (work.outcome === undefined || work.wedged) return this.#report(work.pollMs);
      this.#finish(work.outcome);
    }
    return this.#report(0);
  }

  /** Anything but GETSTATUS: the ROM is deaf until flash is done, and then it has no use for it. */
  async #whileBusy(bRequest: number): Promise<Answer> {
    const work = this.#work;
    await work?.held();
    if (work?.outcome === 'reset') return 'stall';
    // H743 rev V: CLRSTATUS once gives 14/10, twice gives 0/2 (real-silicon.md section 3).
    const excused = this.#settings.clrStatusOutsideError !== 'stall' || work?.wedged === true;
    if (bRequest !== REQUEST.CLRSTATUS || !excused) return this.#stall();
    this.#fail(STATUS.errUNKNOWN);
    return ACK;
  }

  #clearStatus(): Answer {
    if (this.#state !== STATE.dfuERROR) {
      if (this.#settings.clrStatusOutsideError === 'stall') return this.#stall();
      if (this.#settings.clrStatusOutsideError === 'error-unknown') {
        this.#fail(STATUS.errUNKNOWN);
        return ACK;
      }
    }
    return this.#idle();
  }

  /** From 5 and 9 seen on F7 and H743 (td-p/826688); from 2, 3 and 6 by DFU 1.1 appendix A. */
  #abort(): Answer {
    return this.#state === STATE.dfuERROR ? this.#stall() : this.#idle();
  }

  async #upload(block: number, length: number): Promise<Answer> {
    // In dfuDNLOAD-IDLE it stalls: L4A6 td-p/308098, F407 td-p/512170.
    const ready = this.#state === STATE.dfuIDLE || this.#state === STATE.dfuUPLOAD_IDLE;
    const fits = length >= SHORTEST_UPLOAD_BYTES && length <= this.#options.transferSize;
    if (!ready || !fits || (block > 0 && block < FIRST_BLOCK)) return this.#stall();
    const bytes = block === 0 ? COMMANDS.slice(0, length) : this.#options.memory.read(block, length);
    if (bytes === 'hang') return this.#hang();
    if (typeof bytes === 'number') return this.#stall(bytes);
    // DFU 1.1 appendix A: a short frame ends the upload.
    this.#state = bytes.length < length && block > 0 ? STATE.dfuIDLE : STATE.dfuUPLOAD_IDLE;
    return bytes;
  }

  #manifest(): Answer {
    if (!this.#mayLeave()) {
      this.#fail(STATUS.errUNKNOWN);
      return this.#report(0);
    }
    this.#depart();
    if (this.#settings.leave !== 'manifest') return 'stall';
    this.#state = STATE.dfuMANIFEST;
    return this.#report(0);
  }

  #mayLeave(): boolean {
    return this.#options.memory.addressSet || this.#settings.leaveWithoutAddress === 'flash-base';
  }

  #whileLeaving(bRequest: number): Answer {
    const talks = this.#state === STATE.dfuMANIFEST && bRequest === REQUEST.GETSTATUS;
    return talks ? this.#report(0) : 'stall';
  }

  #depart(): void {
    this.#leaving = true;
    if (this.#settings.stuckOnLeave) return;
    const { clock, memory, stopped } = this.#options;
    clock.sleep(this.#settings.leaveDelayMs, stopped).then(
      () => this.#options.onLeave(memory.pointer),
      (error: unknown) => {
        if (!stopped.aborted) throw error;
      },
    );
  }

  #reset(): void {
    this.#leaving = true;
    this.#options.onReset();
  }

  #finish(outcome: DfuStatus): void {
    this.#work = undefined;
    if (outcome === STATUS.OK) this.#state = STATE.dfuDNLOAD_IDLE;
    else this.#fail(outcome);
  }

  #fail(status: DfuStatus): void {
    this.#work = undefined;
    this.#state = STATE.dfuERROR;
    this.#status = status;
  }

  #idle(): Answer {
    this.#work = undefined;
    this.#state = STATE.dfuIDLE;
    this.#status = STATUS.OK;
    return ACK;
  }

  /** DFU 1.1 appendix A: an unexpected request is stalled and ends in dfuERROR; there, nothing changes. */
  #stall(status: DfuStatus = STATUS.errSTALLEDPKT): 'stall' {
    if (this.#state !== STATE.dfuERROR) this.#fail(status);
    return 'stall';
  }

  /** The core is in its fault handler: no answer any more, until reset. */
  #hang(): Promise<Answer> {
    const { stopped } = this.#options;
    return new Promise((resolve) => {
      if (stopped.aborted) resolve('stall');
      stopped.addEventListener('abort', () => resolve('stall'), { once: true });
    });
  }

  /** DFU 1.1 section 6.1.2: bStatus, bwPollTimeout (24 bits), bState, iString. UNPROVEN: iString 0 (section 9.5). */
  #report(pollMs: number): Uint8Array {
    return Uint8Array.of(
      this.#status,
      pollMs & 0xff,
      (pollMs >> 8) & 0xff,
      (pollMs >> 16) & 0xff,
      this.#state,
      0,
    );
  }
}
