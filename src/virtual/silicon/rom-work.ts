// virtual silicon: one DNLOAD's work in the ROM: begun by a GETSTATUS, done in flash's own time.
import type { Clock } from '../../ports/clock.ts';
import { STATUS } from './dfu-codes.ts';
import type { DfuStatus } from './dfu-codes.ts';
import { commandOf } from './rom-memory.ts';
import type { RomCommand, RomMemory } from './rom-memory.ts';
import type { RomSettings } from './rom-settings.ts';

export interface RomWorkOptions {
  readonly memory: RomMemory;
  readonly clock: Clock;
  readonly settings: RomSettings;
  /** How much longer than the work itself a held request is held. */
  readonly heldMs: number;
  readonly stopped: AbortSignal;
  onReset(): void;
}

export class RomWork {
  /** Undefined until the work is done. */
  outcome: DfuStatus | 'reset' | undefined;
  readonly #command: RomCommand;
  readonly #options: RomWorkOptions;
  #done: Promise<void> | undefined;

  constructor(block: number, data: Uint8Array, options: RomWorkOptions) {
    this.#command = commandOf(block, data);
    this.#options = options;
  }

  get underWay(): boolean {
    return this.#done !== undefined && this.outcome === undefined;
  }

  /** Busy for ever although done: H743 rev V (real-silicon.md section 3). */
  get wedged(): boolean {
    const erased = this.#command.kind === 'erase' && this.outcome === STATUS.OK;
    return erased && this.#options.settings.lastingBusy === 'after-erase';
  }

  /** The bwPollTimeout that goes with dfuDNBUSY. It is a constant of the ROM, not a forecast. */
  get pollMs(): number {
    const { eraseMs, massEraseMs, setAddressMs, writeMs } = this.#options.settings.pollTimeouts;
    switch (this.#command.kind) {
      case 'erase':
        return eraseMs;
      case 'mass-erase':
      case 'read-unprotect':
        return massEraseMs;
      case 'write':
        return writeMs;
      case 'set-address':
      case 'unsupported':
        return setAddressMs;
    }
  }

  /** Sets the work going, once. */
  begin(): void {
    this.#done ??= this.#run();
  }

  /** Resolves when the work is done; begins it if nobody has. */
  async held(): Promise<void> {
    this.begin();
    await this.#done;
    const { clock, heldMs, stopped } = this.#options;
    if (heldMs > 0) await clock.sleep(heldMs, stopped);
  }

  async #run(): Promise<void> {
    this.outcome = await this.#options.memory.execute(this.#command);
    if (this.outcome === 'reset' && !this.#options.stopped.aborted) this.#options.onReset();
  }
}
