// Sectors that cannot be read: an H7 hangs on a word that a power cut left half-programmed, until it is reset. What was
// learnt about them in one visit to the ROM is used in the next: they are read around, and always erased.
import { OctopusError } from '../errors.ts';
import type { Sector } from '../boards/types.ts';
import type { Bootloader } from './bootloader.ts';

/** What stands in a copy where the chip could not be read; not 0xFF, which would look like blank flash. */
const UNKNOWN = 0x00;

/** Once by chance, once to be sure; a third time, after it was erased and written, it is worn. */
const MOST_HANGS = 2;

export class TornSectors {
  readonly #sectors: readonly Sector[];
  readonly #torn = new Set<Sector>();
  /** By the address of a sector, or of what else was read. */
  readonly #hangs = new Map<number, number>();

  /** @param sectors the chip's */
  constructor(sectors: readonly Sector[]) {
    this.#sectors = sectors;
  }

  get addresses(): readonly number[] {
    return [...this.#torn].map(({ address }) => address);
  }

  /** How often the chip has stopped answering, where another try can still help. */
  get lessons(): number {
    return [...this.#hangs.values()].reduce((sum, hangs) => sum + Math.min(hangs, MOST_HANGS), 0);
  }

  has(sector: { readonly address: number }): boolean {
    return this.addresses.includes(sector.address);
  }

  /** The chip stopped answering when it was asked for what lies there; how often by now. */
  silentAt(address: number): number {
    const hangs = (this.#hangs.get(address) ?? 0) + 1;
    this.#hangs.set(address, hangs);
    return hangs;
  }

  /** They were erased and written: what is read from them now counts. */
  mended(sectors: readonly { readonly address: number }[]): void {
    for (const sector of this.#torn)
      if (sectors.some(({ address }) => address === sector.address)) this.#torn.delete(sector);
  }

  /**
   * Reads around what is known to be torn. Learns and throws `flash-unreadable` where the chip stops answering: it must
   * be reset before it is asked again.
   */
  async read(
    chip: Bootloader,
    address: number,
    length: number,
    onBytes?: (done: number) => void,
  ): Promise<Uint8Array> {
    const bytes = new Uint8Array(length).fill(UNKNOWN);
    for (const { from, to } of this.#readable(address, address + length)) {
      bytes.set(
        await this.#learning(chip.read(from, to - from, (done) => onBytes?.(from - address + done))),
        from - address,
      );
    }
    onBytes?.(length);
    return bytes;
  }

  *#readable(from: number, end: number): Generator<{ from: number; to: number }> {
    let start = from;
    for (const { address, sizeBytes } of [...this.#torn].sort((a, b) => a.address - b.address)) {
      if (address >= end || address + sizeBytes <= start) continue;
      if (start < address) yield { from: start, to: address };
      start = address + sizeBytes;
    }
    if (start < end) yield { from: start, to: end };
  }

  /** One silence may be the cable's: only what hangs again after a reset is torn. */
  #learn(sector: Sector): void {
    if (this.silentAt(sector.address) >= 2) this.#torn.add(sector);
  }

  async #learning(reading: Promise<Uint8Array>): Promise<Uint8Array> {
    try {
      return await reading;
    } catch (error) {
      if (error instanceof OctopusError && error.code === 'flash-unreadable') {
        const at = Number(error.place);
        const sector = this.#sectors.find(
          ({ address, sizeBytes }) => address <= at && at < address + sizeBytes,
        );
        if (sector !== undefined) this.#learn(sector);
      }
      throw error;
    }
  }
}
