// Somebody else starts Klipper in the middle of the work (a button in Mainsail, a power device with bound services, an
// update): nothing in Moonraker can forbid it, so it is stopped again before it takes the board's port.
import { asOctopusError } from '../errors.ts';
import type { Kit } from './kit.ts';
import type { Stopwatch } from './stopwatch.ts';

/** Whoever starts it more often than this does it by a rule, and we would never end. */
const MOST_STOPS = 3;

export class ForeignStarts {
  readonly #kit: Pick<Kit, 'printer'>;
  readonly #watch: Stopwatch;
  readonly #unsubscribe: () => void;
  #stopping: Promise<void> = Promise.resolve();
  #stops = 0;
  #hasGivenUp = false;
  #hasFailed = false;

  constructor(kit: Pick<Kit, 'printer'>, watch: Stopwatch) {
    this.#kit = kit;
    this.#watch = watch;
    this.#unsubscribe = kit.printer.onForeignStart(() => this.#heard());
  }

  /** Whether Klipper may be running although we need it stopped: a stop has failed, or we have given up. */
  get mayRun(): boolean {
    return this.#hasGivenUp || this.#hasFailed;
  }

  /** Resolves when no stop is in progress. */
  async settled(): Promise<void> {
    let last: Promise<void>;
    do {
      last = this.#stopping;
      await last;
    } while (last !== this.#stopping);
  }

  /** From here on anybody may start Klipper. */
  async end(): Promise<void> {
    this.#unsubscribe();
    await this.settled();
  }

  #heard(): void {
    if (this.#stops >= MOST_STOPS) {
      if (!this.#hasGivenUp) this.#watch.note(GIVEN_UP);
      this.#hasGivenUp = true;
      return;
    }
    this.#stops += 1;
    this.#watch.note('Klipper was started by somebody else in the middle of the work: it is stopped again.');
    // One after the other: two stops at once would each take the other's for its own.
    this.#stopping = this.#stopping.then(() => this.#stopAgain());
  }

  /** It fails for itself: a write under way must not end because of Moonraker. */
  async #stopAgain(): Promise<void> {
    try {
      await this.#kit.printer.stopKlipper();
      this.#hasFailed = false;
    } catch (thrown) {
      this.#hasFailed = true;
      this.#watch.note(`Klipper could not be stopped again: ${asOctopusError(thrown).message}.`);
    }
  }
}

const GIVEN_UP = `Klipper was started by somebody else more than ${MOST_STOPS} times: it is left running and the work goes on.`;
