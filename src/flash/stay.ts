// Stays in a board's bootloader: entered by the ways in turn, something done while it answers, again where that helps.
import type { Board } from '../boards/types.ts';
import { asOctopusError, hex } from '../errors.ts';
import { openArrival, type Arrival } from './arrival.ts';
import type { Bootloader } from './bootloader.ts';
import { remember, type BoardMemory } from './board-memory.ts';
import { bootWithoutWires, type ApplicationState } from './boot-without-wires.ts';
import { DfuStay } from './dfu-stay.ts';
import { byWire, enterBootloader } from './enter-bootloader.ts';
import { heaterSafety, heatersUnvouched } from './heaters.ts';
import type { Kit } from './kit.ts';
import type { BoardLines } from './lines.ts';
import type { BoardPlace } from './place.ts';
import { pulseReset } from './reset-pulse.ts';
import type { RoutePlan } from './routes.ts';
import type { Stopwatch } from './stopwatch.ts';
import { TornSectors } from './torn-sectors.ts';
import { waitUntilGone } from './watch-usb.ts';
import type { WayIn } from './way-in.ts';
import { knownBy, learnt, ranKlipper, refuseOtherChip } from './what-came.ts';

export type VisitKit = Pick<
  Kit,
  'can' | 'clock' | 'gpio' | 'locks' | 'printer' | 'recorder' | 'serial' | 'store' | 'usb'
>;

/** What the work gets beside the chip. */
export interface Visit {
  readonly torn: TornSectors;
  readonly stay: DfuStay;
  /** Throws if the job was cancelled, and ends all cancelling: called before anything is changed. */
  readonly lastExit: () => void;
  /** What would start if the board were let go now, as far as it is known; the work keeps it true. */
  application: () => ApplicationState;
}
export type Inside<T> = (chip: Bootloader, visit: Visit) => Promise<T>;

/** Katapult leaves 100 ms after its word, and a hub tells of it 256 ms later at the latest. */
const LEAVES_WITHIN_MS = 3_000;
/** Each time Katapult hangs, two resets bring it back; a link that spoils every second frame is broken. */
const MOST_WEDGES = 3;

export interface StaysParts {
  readonly kit: VisitKit;
  readonly place: BoardPlace;
  readonly way: WayIn;
  readonly watch: Stopwatch;
  readonly memory: BoardMemory;
  /** Undefined: the board has no wires. */
  readonly lines: BoardLines | undefined;
  readonly signal: AbortSignal | undefined;
}

/** All stays of one visit: behind the last exit of one there is no cancelling in any. */
export class Stays {
  readonly #parts: StaysParts;
  /** Where the board was last seen. */
  busPath: string | undefined;
  /** Behind the last exit nobody can cancel any more, a second entry included. */
  #cancel: AbortSignal | undefined;
  #isBehindExit = false;
  /** A stay that was too long has let the board go by its wire already. */
  #hasLeft = false;
  #plan: RoutePlan;
  /** A reset into the ROM again lets nothing cool down: the 60 s are those of all entries. */
  #since: number | undefined;

  constructor(parts: StaysParts) {
    this.#parts = parts;
    this.#cancel = parts.signal;
    this.#plan = parts.way.plan;
    this.busPath = parts.memory.busPath;
  }

  /** Enters, does `inside`, and lets the board go. Throws what both throw; the board was let go then, too. */
  async stay<T>(inside: Inside<T>): Promise<T> {
    const { board } = this.#parts.place;
    const { lines, watch } = this.#parts;
    const torn = new TornSectors(board.mcu.sectors);
    this.#hasLeft = false;
    let done: T;
    try {
      done = await this.#againWhileItHelps(() => this.#enterAndDo(inside, torn), torn);
    } catch (error) {
      // Once is enough: Katapult takes two resets within half a second for a wish to stay.
      if (this.#hasLeft || lines === undefined) throw error;
      // The old application is booted again, or at least the board leaves DFU mode with its heaters.
      await this.#letGo(lines).catch((failure: unknown) =>
        watch.note(
          `${asOctopusError(failure).message} The board may still be in its bootloader, with its heaters: switch its power off and on.`,
        ),
      );
      throw error;
    }
    if (lines !== undefined) await this.#letGo(lines);
    return done;
  }

  async #enterAndDo<T>(inside: Inside<T>, torn: TornSectors): Promise<T> {
    const { kit, place, way, lines, watch } = this.#parts;
    const { board } = place;
    watch.begin('enter');
    const onRecord = kit.recorder.before({ kind: 'enter' });
    // A disk that is full by now must not leave half an image.
    await (this.#isBehindExit ? onRecord.catch(() => {}) : onRecord);
    const arrival = await enterBootloader(
      kit,
      { ...way, plan: this.#plan, place, lines, watch },
      this.#cancel,
    );
    if (arrival.kind !== 'katapult-can') {
      this.busPath = arrival.device.busPath;
      refuseOtherChip(board, arrival.before);
    }
    const isRom = arrival.kind === 'rom';
    if (isRom && !way.mayEnterRom) {
      if (lines === undefined) await leaveAtOnce(kit, arrival, board, watch);
      throw heatersUnvouched(board);
    }
    if (isRom) this.#since ??= kit.clock.now() - arrival.appearedAfterMs;
    const isLimited = isRom && heaterSafety(place).kind !== 'unused';
    const stay = new DfuStay(kit.clock, this.#since ?? kit.clock.now(), isLimited);
    if (this.#isBehindExit) stay.lastExit();
    return await stay.within(this.#workOn(arrival, stay, inside, torn), async () => {
      if (lines === undefined) return;
      await this.#letGo(lines);
      this.#hasLeft = true;
    });
  }

  async #workOn<T>(arrival: Arrival, stay: DfuStay, inside: Inside<T>, torn: TornSectors): Promise<T> {
    const { kit, place, lines, memory, watch } = this.#parts;
    const { board } = place;
    const opened = await openArrival(kit, arrival, board);
    const chip = knownBy(opened, arrival);
    const ran = arrival.kind === 'katapult-can' ? arrival.ranBefore : ranKlipper(arrival.before);
    const here: Visit = {
      torn,
      stay,
      lastExit: () => {
        this.#cancel?.throwIfAborted();
        stay.lastExit();
        this.#cancel = undefined;
        this.#isBehindExit = true;
      },
      application: () => (ran && !this.#isBehindExit ? 'whole' : 'unknown'),
    };
    try {
      await remember(kit, board.name, learnt(arrival, opened, memory, watch));
      return await inside(stay.listen(chip), here);
    } finally {
      const left = lines === undefined && (await bootWithoutWires(chip, board, here.application(), watch));
      if (left) await kit.recorder.before({ kind: 'boot' }).catch(() => {});
      await chip.close();
      // What is still there then is no answer to the boot.
      if (left && arrival.kind !== 'katapult-can') await waitUntilGone(kit, arrival.device, LEAVES_WITHIN_MS);
    }
  }

  /** Boots by reset with BOOT0 floating: the start a printer makes when it is switched on. */
  async #letGo(lines: BoardLines): Promise<void> {
    const { kit, watch } = this.#parts;
    watch.begin('boot');
    // A disk that is full by now must not keep the board in DFU mode.
    await kit.recorder.before({ kind: 'boot' }).catch(() => {});
    await pulseReset(kit, lines);
  }

  #enterAgainByWire(): boolean {
    const tries = this.#parts.lines === undefined ? [] : byWire(this.#plan);
    this.#plan = { ...this.#plan, tries };
    return tries.length > 0;
  }

  /**
   * A chip that stopped answering in a read is reset into its ROM again, as long as each silence teaches something; a
   * Katapult that hangs is brought back by its reset wire.
   */
  async #againWhileItHelps<T>(work: () => Promise<T>, torn: TornSectors): Promise<T> {
    const { watch } = this.#parts;
    for (let wedges = 0; ;) {
      const known = torn.lessons;
      try {
        return await work();
      } catch (error) {
        const { code, message } = asOctopusError(error);
        if (code === 'katapult-wedged' && wedges < MOST_WEDGES && this.#enterAgainByWire()) {
          wedges += 1;
          watch.note(`${message}: it is reset by wire and asked again.`);
          continue;
        }
        if (torn.lessons === known || code === 'dfu-too-long') throw error;
        const around = torn.addresses.map(hex).join(', ');
        watch.note(
          around === ''
            ? 'The chip stopped answering while it was read: it is reset and asked again.'
            : `The sector at ${around} cannot be read (a write was cut off there): read around.`,
        );
      }
    }
  }
}

/** Katapult was to come, and somebody has taken it off the board: its ROM may be driving heaters now. */
async function leaveAtOnce(kit: VisitKit, arrival: Arrival, board: Board, watch: Stopwatch): Promise<void> {
  const chip = await openArrival(kit, arrival, board);
  await bootWithoutWires(chip, board, 'whole', watch);
  await chip.close();
}
