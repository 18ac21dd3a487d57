// A visit to a board's bootloader: Klipper stopped, lines opened, bootloader entered, something done there, board booted,
// Klipper started again. Whatever happens, the lines float, the board is out of its bootloader where firmware is whole,
// and Klipper runs.
import type { Board } from '../boards/types.ts';
import { asOctopusError, hex } from '../errors.ts';
import { openArrival, type Arrival } from './arrival.ts';
import type { Bootloader } from './bootloader.ts';
import { recall, remember, type BoardMemory } from './board-memory.ts';
import { bootWithoutWires, type ApplicationState } from './boot-without-wires.ts';
import { lockOfBus } from './canbus-query.ts';
import { refuseRomAgain } from './confirm.ts';
import { DfuStay } from './dfu-stay.ts';
import { byWire, enterBootloader } from './enter-bootloader.ts';
import type { ForeignStarts } from './foreign-starts.ts';
import { heaterSafety, heatersUnvouched, withHeatersOff } from './heaters.ts';
import type { Kit } from './kit.ts';
import { withKlipperStopped } from './klipper-stopped.ts';
import { withLines, type BoardLines } from './lines.ts';
import type { CanPlace, VisitOrder } from './place.ts';
import { pulseReset } from './reset-pulse.ts';
import type { Stopwatch } from './stopwatch.ts';
import { TornSectors } from './torn-sectors.ts';
import { usbKind, waitUntilGone } from './watch-usb.ts';
import type { WayIn } from './way-in.ts';
import { knownBy, learnt, ranKlipper, refuseOtherChip } from './what-came.ts';

/** Where the board sat, and when it was let go to boot. */
export interface Seat {
  readonly busPath: string;
  /** Where a node on CAN is. */
  readonly node: CanPlace | undefined;
  /** Klipper, stopped: its port is free while nobody else starts it. */
  readonly klipper: Pick<ForeignStarts, 'mayRun' | 'settled'>;
  readonly releasedAtMs: number;
  /** It was let go by its reset line, or by its bootloader's word, which proves no cold start. */
  readonly wasReset: boolean;
  readonly memory: BoardMemory;
}

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

/**
 * @param way from `findWayIn`
 * @param inside what to do while the bootloader answers; done again after a chip stopped answering and was reset
 * @param after what to look at once the board was let go; Klipper is still stopped, so the port is free
 */
export async function visitBootloader<T, R>(
  kit: VisitKit,
  order: VisitOrder,
  way: WayIn,
  watch: Stopwatch,
  signal: AbortSignal | undefined,
  inside: Inside<T>,
  after: (done: T, seat: Seat) => Promise<R>,
): Promise<R> {
  const { place } = order;
  const { board, pins } = place;
  return withKlipperStopped(kit, order, watch, signal, async (klipper) => {
    const memory = await recall(kit, board.name);
    let busPath = memory.busPath;
    const visit = async (lines: BoardLines | undefined): Promise<R> => {
      const torn = new TornSectors(board.mcu.sectors);
      // Behind the last exit nobody can cancel any more, a second entry included.
      let cancel = signal;
      let isBehindExit = false;
      let hasLeft = false;
      let { plan } = way;
      // A reset into the ROM again lets nothing cool down: the 60 s are those of all entries.
      let since: number | undefined;
      const leave = async (): Promise<void> => {
        if (lines === undefined) return;
        await letGo(kit, lines, watch);
        hasLeft = true;
      };
      const workOn = async (arrival: Arrival, stay: DfuStay): Promise<T> => {
        const opened = await openArrival(kit, arrival, board);
        const chip = knownBy(opened, arrival);
        const ran = arrival.kind === 'katapult-can' ? arrival.ranBefore : ranKlipper(arrival.before);
        const here: Visit = {
          torn,
          stay,
          lastExit: () => {
            cancel?.throwIfAborted();
            stay.lastExit();
            cancel = undefined;
            isBehindExit = true;
          },
          application: () => (ran && !isBehindExit ? 'whole' : 'unknown'),
        };
        try {
          await remember(kit, board.name, learnt(arrival, opened, memory, watch));
          return await inside(stay.listen(chip), here);
        } finally {
          const left =
            lines === undefined && (await bootWithoutWires(chip, board, here.application(), watch));
          await chip.close();
          // What is still there then is no answer to the boot.
          if (left && arrival.kind !== 'katapult-can')
            await waitUntilGone(kit, arrival.device, LEAVES_WITHIN_MS);
        }
      };
      const enterAndDo = async (): Promise<T> => {
        watch.begin('enter');
        const arrival = await enterBootloader(kit, { ...way, plan, place, lines, watch }, cancel);
        if (arrival.kind !== 'katapult-can') {
          busPath = arrival.device.busPath;
          refuseOtherChip(board, arrival.before);
        }
        const isRom = arrival.kind === 'rom';
        if (isRom && !way.mayEnterRom) {
          if (lines === undefined) await leaveAtOnce(kit, arrival, board, watch);
          throw heatersUnvouched(board);
        }
        if (isRom) since ??= kit.clock.now() - arrival.appearedAfterMs;
        const isLimited = isRom && heaterSafety(place).kind !== 'unused';
        const stay = new DfuStay(kit.clock, since ?? kit.clock.now(), isLimited);
        if (isBehindExit) stay.lastExit();
        return await stay.within(workOn(arrival, stay), leave);
      };
      const enterAgainByWire = (): boolean => {
        const tries = lines === undefined ? [] : byWire(plan);
        plan = { ...plan, tries };
        return tries.length > 0;
      };
      let done: T;
      try {
        done = await againWhileItHelps(enterAndDo, torn, enterAgainByWire, watch);
      } catch (error) {
        // Once is enough: Katapult takes two resets within half a second for a wish to stay.
        if (hasLeft || lines === undefined) throw error;
        // The old application is booted again, or at least the board leaves DFU mode with its heaters.
        await letGo(kit, lines, watch).catch((failure: unknown) =>
          watch.note(
            `${asOctopusError(failure).message} The board may still be in its bootloader, with its heaters: switch its power off and on.`,
          ),
        );
        throw error;
      }
      if (lines !== undefined) await letGo(kit, lines, watch);
      const releasedAtMs = kit.clock.now();
      const wasReset = lines !== undefined;
      return after(done, { busPath: busPath ?? '', node: way.node, releasedAtMs, wasReset, memory, klipper });
    };
    const isStillInRom = async (): Promise<boolean> => {
      // A power device may start Klipper itself when it is switched on (bound_services): that is no longer foreign.
      await klipper.end();
      if (busPath === undefined) return (await kit.usb.list()).some((device) => usbKind(device) === 'romDfu');
      return await refuseRomAgain(kit, board.name, { busPath }).then(
        () => false,
        () => true,
      );
    };
    const inLines = () =>
      pins === undefined ? alone(kit, way.node, () => visit(undefined)) : withLines(kit, pins, visit);
    return way.entersRom ? withHeatersOff(kit, place, watch, inLines, isStillInRom) : inLines();
  });
}

/**
 * A chip that stopped answering in a read is reset into its ROM again, as long as each silence teaches something; a
 * Katapult that hangs is brought back by its reset wire.
 */
async function againWhileItHelps<T>(
  work: () => Promise<T>,
  torn: TornSectors,
  enterAgainByWire: () => boolean,
  watch: Stopwatch,
): Promise<T> {
  for (let wedges = 0; ;) {
    const known = torn.lessons;
    try {
      return await work();
    } catch (error) {
      const { code, message } = asOctopusError(error);
      if (code === 'katapult-wedged' && wedges < MOST_WEDGES && enterAgainByWire()) {
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

/** A node has its bus for itself: two in Katapult would have the same id. Throws `busy`. */
async function alone<T>(kit: VisitKit, node: CanPlace | undefined, work: () => Promise<T>): Promise<T> {
  if (node === undefined) return work();
  const release = await kit.locks.acquire(lockOfBus(node.interfaceName));
  try {
    return await work();
  } finally {
    await release();
  }
}

/** Boots by reset with BOOT0 floating: the start a printer makes when it is switched on. */
async function letGo(kit: VisitKit, lines: BoardLines, watch: Stopwatch): Promise<void> {
  watch.begin('boot');
  // A disk that is full by now must not keep the board in DFU mode.
  await kit.recorder.before({ kind: 'boot' }).catch(() => {});
  await pulseReset(kit, lines);
}

/** Katapult was to come, and somebody has taken it off the board: its ROM may be driving heaters now. */
async function leaveAtOnce(kit: VisitKit, arrival: Arrival, board: Board, watch: Stopwatch): Promise<void> {
  const chip = await openArrival(kit, arrival, board);
  await bootWithoutWires(chip, board, 'whole', watch);
  await chip.close();
}
