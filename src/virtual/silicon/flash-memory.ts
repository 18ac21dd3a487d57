// virtual silicon: the flash of one chip, with NOR rules, device times and torn cells.
import type { Clock } from '../../ports/clock.ts';
import type { McuSilicon } from './silicon.ts';

export interface FlashOptions {
  readonly times?: 'typical' | 'worst' | 'zero';
  readonly seed?: number;
}

/** `interrupted`: power or reset fell in the middle. `word-error`: an H7 word was programmed twice. */
export type FlashResult =
  | 'ok'
  | 'out-of-range'
  | 'write-protected'
  | 'misaligned'
  | 'word-error'
  | 'busy'
  | 'interrupted';

export interface FlashStatistics {
  /** Erases of each sector by its address, mass erases included. */
  readonly erases: ReadonlyMap<number, number>;
  readonly massErases: number;
  readonly bytesProgrammed: number;
  /** The chip's own time. */
  readonly eraseMs: number;
  readonly programMs: number;
  /** Bits asked to become 1 over a 0: NOR leaves them 0 and says nothing. */
  readonly bitsLeftZero: number;
}

export type FlashListener = (address: number, bytes: Uint8Array) => void;

export class FlashMemory {
  readonly mcu: McuSilicon;
  readProtected = false;
  /** Start addresses of write-protected sectors. */
  readonly writeProtected = new Set<number>();
  constructor(mcu: McuSilicon, clock: Clock, options: FlashOptions = {}) {
    this.mcu = mcu;
    void clock;
    void options;
  }
  get statistics(): FlashStatistics {
    throw new Error('stub');
  }
  eraseSector(address: number): Promise<FlashResult> {
    throw new Error(`stub ${address}`);
  }
  massErase(): Promise<FlashResult> {
    throw new Error('stub');
  }
  program(address: number, bytes: Uint8Array): Promise<FlashResult> {
    throw new Error(`stub ${address} ${bytes.length}`);
  }
  /** Leaves read protection: the chip erases itself first. */
  removeReadProtection(): Promise<FlashResult> {
    throw new Error('stub');
  }
  peek(address: number, length: number): Uint8Array {
    throw new Error(`stub ${address} ${length}`);
  }
  load(address: number, bytes: Uint8Array): void {
    throw new Error(`stub ${address} ${bytes.length}`);
  }
  /** True where an H7 read would end in a double ECC error, which the core takes as a bus fault. */
  hasEccError(address: number, length: number): boolean {
    throw new Error(`stub ${address} ${length}`);
  }
  powerCut(): void {
    throw new Error('stub');
  }
  onChange(listener: FlashListener): () => void {
    throw new Error(`stub ${listener.name}`);
  }
}
