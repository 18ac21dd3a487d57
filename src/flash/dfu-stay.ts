// How long a board may stay in DFU mode. Where heaters hang on outputs that its ROM may drive, their power is off or they
// are unplugged by then; the limits are for the day when that is not true: a heater that is driven for ever burns, one
// that is driven for a minute from cold does not.
import { OctopusError } from '../errors.ts';
import type { Clock } from '../ports/clock.ts';
import { onlyOfRom, type Bootloader } from './bootloader.ts';

/**
 * Longer than the longest wait for a sign from a healthy chip: an erase of 128 KiB takes 4 s at most (DS8626 table 40), a
 * held answer is waited for 10 s.
 */
export const DFU_SILENT_MS = 15_000;
/** Until the last exit: entry, and the first reading of a whole flash (1 MiB in less than 5 s, see the bench). */
export const DFU_TOTAL_MS = 60_000;

/** One entry into the ROM, until the chip is reset. */
export class DfuStay {
  readonly #clock: Clock;
  readonly #since: number;
  #heardAt: number;
  #limits: 'none' | 'silence' | 'total' | 'both';
  #tooLong: OctopusError | undefined;

  /**
   * @param since when the ROM was first entered, in clock time
   * @param isLimited whether anything may hang on what the ROM drives
   */
  constructor(clock: Clock, since: number, isLimited: boolean) {
    this.#clock = clock;
    this.#since = since;
    this.#heardAt = clock.now();
    this.#limits = isLimited ? 'both' : 'none';
  }

  /** What is left of the 60 s. */
  get leftMs(): number {
    return Math.max(0, this.#since + DFU_TOTAL_MS - this.#clock.now());
  }

  /** The board is held for other tools, whose progress we cannot see: whoever holds it keeps the time. */
  handOver(): void {
    this.#limits = 'none';
  }

  /**
   * Behind the last exit the old firmware is gone: a write that makes progress goes to its end, however slow the chip is,
   * since to cut it off would trade a heater that has no power for a board without firmware. A chip that is silent makes
   * none, and loses nothing by the reset: the first sector is erased first and begun last, so it does not look valid, and
   * the next flash erases what cannot be read (torn-sectors.ts).
   * Throws when the stay was over before.
   */
  lastExit(): void {
    if (this.#tooLong !== undefined) throw this.#tooLong;
    if (this.#limits === 'both') this.#limits = 'silence';
  }

  /** The chip erases the whole of itself and may be silent for all of it (32 s, DS8626 table 40): only the 60 s hold. */
  erasingAll(): void {
    if (this.#limits !== 'none') this.#limits = 'total';
  }

  /** The same chip, whose every sign of progress is heard. */
  listen(chip: Bootloader): Bootloader {
    const heard = () => (this.#heardAt = this.#clock.now());
    return {
      ...onlyOfRom(chip),
      kind: chip.kind,
      identity: chip.identity,
      read: (address, length, onBytes) => {
        heard();
        return chip.read(address, length, (done) => {
          heard();
          onBytes?.(done);
        });
      },
      write: (plan, hooks) => {
        heard();
        return chip.write(plan, {
          ...hooks,
          erasing: (done, total) => {
            heard();
            hooks.erasing(done, total);
          },
          writing: (done, total) => {
            heard();
            hooks.writing(done, total);
          },
        });
      },
      boot: (address) => {
        heard();
        return chip.boot(address);
      },
      close: () => chip.close(),
    };
  }

  /**
   * `work` within the limits. When one is reached, the board is let go first, which ends what `work` waits for.
   * Throws `dfu-too-long`.
   */
  async within<T>(work: Promise<T>, letGo: () => Promise<unknown>): Promise<T> {
    const ended = new AbortController();
    const done = work.finally(() => ended.abort());
    done.catch(() => {});
    this.#tooLong = await this.#untilTooLong(ended.signal);
    if (this.#tooLong === undefined) return done;
    try {
      await letGo();
    } finally {
      await done.catch(() => {});
    }
    throw this.#tooLong;
  }

  /** Undefined when `over` comes first, or when nothing limits the stay any more. */
  async #untilTooLong(over: AbortSignal): Promise<OctopusError | undefined> {
    while (this.#limits !== 'none' && !over.aborted) {
      const silentMs =
        this.#limits === 'total' ? Infinity : this.#heardAt + DFU_SILENT_MS - this.#clock.now();
      if (silentMs <= 0) return tooLong(`nothing moved in DFU mode for ${DFU_SILENT_MS / 1000} s`);
      const leftMs = this.#limits === 'silence' ? Infinity : this.leftMs;
      if (leftMs <= 0) return tooLong(`the board was in DFU mode for ${DFU_TOTAL_MS / 1000} s`);
      await this.#clock.sleep(Math.min(silentMs, leftMs), over).catch(() => {});
    }
    return undefined;
  }
}

function tooLong(what: string): OctopusError {
  return new OctopusError('dfu-too-long', `${what}: it was let go, because its ROM may drive heaters`, {
    place: 'DFU mode',
    advice: 'Check the USB cable and the hub, then try again.',
  });
}
