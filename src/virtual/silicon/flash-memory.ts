// virtual silicon: the flash of one chip: its controller with device times, protection and power cuts.
import type { Clock } from '../../ports/clock.ts';
import { FlashCells } from './flash-cells.ts';
import type { FlashListener } from './flash-cells.ts';
import { sectorAt } from './silicon.ts';
import type {
  ChipSilicon,
  FlashSector,
  FlashTimes,
  FlashWidth,
  McuSilicon,
  TypicalAndWorst,
} from './silicon.ts';

export type { FlashListener } from './flash-cells.ts';
export type { FlashWidth } from './silicon.ts';

export interface FlashOptions {
  readonly times?: 'typical' | 'worst' | 'zero';
  /** Decides the garbage that torn cells hold. */
  readonly seed?: number;
}

/**
 * `interrupted`: power or reset fell in the middle. `word-error`: an H7 word was programmed twice.
 * `not-blank`: a word of a G0 or F0 held something and keeps it.
 * `misaligned`: not whole words; the whole ones are programmed if the start is aligned.
 */
export type FlashResult =
  | 'ok'
  | 'out-of-range'
  | 'write-protected'
  | 'misaligned'
  | 'word-error'
  | 'not-blank'
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

interface Work {
  readonly address: number;
  readonly sum: 'eraseMs' | 'programMs';
  readonly ms: number;
  /** The work came to its end. */
  readonly finish: () => FlashResult;
  /** The work was cut after this part of its time. */
  readonly tear: (part: number) => void;
}

export class FlashMemory<Chip extends ChipSilicon = McuSilicon> {
  readonly mcu: Chip;
  /**
   * RDP level 1. Kept here because leaving it erases the flash; refused by whoever reads from outside
   * (ROM, debugger). A program that runs from this flash still reads and writes it: RM0090 section 3.7.3.
   */
  readProtected = false;
  /** Start addresses of write-protected sectors; they stay so when read protection is removed (RM0090 section 3.7.3). */
  readonly writeProtected = new Set<number>();
  /** Told when the chip itself has changed its option bytes. */
  onProtection: () => void = () => {};
  readonly #clock: Clock;
  readonly #times: 'typical' | 'worst' | 'zero';
  readonly #cells: FlashCells;
  readonly #erases = new Map<number, number>();
  readonly #sums = { massErases: 0, bytesProgrammed: 0, eraseMs: 0, programMs: 0, bitsLeftZero: 0 };
  #underway: { readonly work: Work; readonly since: number; readonly abort: AbortController } | undefined;

  constructor(mcu: Chip, clock: Clock, options: FlashOptions = {}) {
    this.mcu = mcu;
    this.#clock = clock;
    this.#times = options.times ?? 'typical';
    this.#cells = new FlashCells(mcu, options.seed ?? 1);
  }

  get statistics(): FlashStatistics {
    return { ...this.#sums, erases: new Map(this.#erases) };
  }

  /** True while an erase or a program is under way. */
  get busy(): boolean {
    return this.#underway !== undefined;
  }

  /** Where. */
  get busyAt(): number | undefined {
    return this.#underway?.work.address;
  }

  /** Erases the sector that contains `address`. `width`: as the program has set it; without one, as the ROM does. */
  async eraseSector(address: number, width?: FlashWidth): Promise<FlashResult> {
    const sector = sectorAt(this.mcu, address);
    if (sector === undefined) return 'out-of-range';
    if (this.writeProtected.has(sector.address)) return 'write-protected';
    const times = this.#timesOf(width).eraseMsBySectorBytes[String(sector.sizeBytes)];
    return this.#perform({
      address,
      sum: 'eraseMs',
      ms: times === undefined ? 0 : this.#chosen(times),
      finish: () => {
        this.#wear([sector]);
        this.#cells.erase(sector);
        return 'ok';
      },
      tear: () => {
        this.#wear([sector]);
        this.#cells.tearErase(sector);
      },
    });
  }

  /** RM0090 section 3.6.3, RM0468 section 4.3.10: refused as a whole while any sector is write-protected. */
  async massErase(): Promise<FlashResult> {
    return this.writeProtected.size > 0 ? 'write-protected' : this.#eraseAll();
  }

  /** Leaves read protection: the chip erases all of itself first, write protection or not. */
  async removeReadProtection(): Promise<FlashResult> {
    const result = await this.#eraseAll();
    if (result !== 'ok') return result;
    this.readProtected = false;
    this.onProtection();
    return result;
  }

  /** F4 clears bits only and says nothing; H7, G0 and F0 take whole words, once after each erase. */
  async program(address: number, bytes: Uint8Array, width?: FlashWidth): Promise<FlashResult> {
    const last = address + Math.max(bytes.length, 1) - 1;
    if (sectorAt(this.mcu, address) === undefined || sectorAt(this.mcu, last) === undefined) {
      return 'out-of-range';
    }
    const touched = this.mcu.sectors.filter((s) => s.address <= last && address < s.address + s.sizeBytes);
    if (touched.some((sector) => this.writeProtected.has(sector.address))) return 'write-protected';
    const unit = this.mcu.writeOnceWordBytes ?? 1;
    if (address % unit !== 0) return 'misaligned';
    const wanted = bytes.slice(0, bytes.length - (bytes.length % unit));
    const { programUnitBytes, programUs } = this.#timesOf(width);
    return this.#perform({
      address,
      sum: 'programMs',
      ms: (Math.ceil(wanted.length / programUnitBytes) * this.#chosen(programUs)) / 1000,
      finish: () => {
        const { broken, refused, bitsLeftZero } = this.#cells.program(address, wanted);
        this.#sums.bytesProgrammed += wanted.length;
        this.#sums.bitsLeftZero += bitsLeftZero;
        if (broken) return 'word-error';
        if (refused) return 'not-blank';
        return wanted.length < bytes.length ? 'misaligned' : 'ok';
      },
      tear: (part) => {
        const done = Math.floor((part * wanted.length) / programUnitBytes) * programUnitBytes;
        this.#sums.bytesProgrammed += done;
        this.#cells.tearProgram(address, wanted, done, programUnitBytes);
      },
    });
  }

  /** What the core reads: no time, no protection. */
  peek(address: number, length: number): Uint8Array {
    return this.#cells.peek(address, length);
  }

  /** Puts content there as if it had been programmed long ago. No time, no rules. */
  load(address: number, bytes: Uint8Array): void {
    this.#cells.load(address, bytes);
  }

  /** True where a read would end in a double ECC error: a bus fault of an H7, an NMI of a G0. */
  hasEccError(address: number, length: number): boolean {
    return this.#cells.hasEccError(address, length);
  }

  /** Called with the new content after every change of it. The returned function ends that. */
  onChange(listener: FlashListener): () => void {
    return this.#cells.onChange(listener);
  }

  /** Power or reset falls: what was under way stays half done. Nothing happens when nothing was. */
  powerCut(): void {
    const cut = this.#underway;
    if (cut === undefined) return;
    this.#underway = undefined;
    const ms = Math.min(this.#clock.now() - cut.since, cut.work.ms);
    this.#sums[cut.work.sum] += ms;
    cut.work.tear(cut.work.ms > 0 ? ms / cut.work.ms : 0.5);
    cut.abort.abort();
  }

  async #perform(work: Work): Promise<FlashResult> {
    if (this.#underway !== undefined) return 'busy';
    const abort = new AbortController();
    this.#underway = { work, since: this.#clock.now(), abort };
    try {
      await this.#clock.sleep(work.ms, abort.signal);
    } catch (error) {
      if (!abort.signal.aborted) throw error;
    }
    // The cut may also fall between the clock's waking us and this line; then the cells are torn already.
    if (abort.signal.aborted) return 'interrupted';
    this.#underway = undefined;
    this.#sums[work.sum] += work.ms;
    return work.finish();
  }

  #eraseAll(): Promise<FlashResult> {
    const { sectors } = this.mcu;
    return this.#perform({
      address: this.mcu.flashBase,
      sum: 'eraseMs',
      ms: this.#chosen(this.mcu.times.massEraseMs),
      finish: () => {
        this.#sums.massErases++;
        this.#wear(sectors);
        for (const sector of sectors) this.#cells.erase(sector);
        return 'ok';
      },
      tear: (part) => {
        const done = Math.floor(part * sectors.length);
        this.#wear(sectors.slice(0, done + 1));
        for (const sector of sectors.slice(0, done)) this.#cells.erase(sector);
        for (const sector of sectors.slice(done, done + 1)) this.#cells.tearErase(sector);
      },
    });
  }

  #wear(sectors: readonly FlashSector[]): void {
    for (const { address } of sectors) this.#erases.set(address, (this.#erases.get(address) ?? 0) + 1);
  }

  #timesOf(width: FlashWidth | undefined): FlashTimes {
    return (width === undefined ? undefined : this.mcu.timesByWidth?.[width]) ?? this.mcu.times;
  }

  #chosen(times: TypicalAndWorst): number {
    return this.#times === 'zero' ? 0 : times[this.#times];
  }
}
