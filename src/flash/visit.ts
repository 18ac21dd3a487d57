// A visit to a board's bootloader: Klipper stopped, lines opened, bootloader entered, something done there, board booted,
// Klipper started again. Whatever happens, the lines float, the board is out of its bootloader where firmware is whole,
// and Klipper runs.
import { recall, type BoardMemory } from './board-memory.ts';
import { aloneOnBus } from './bus-lock.ts';
import { refuseRomAgain } from './confirm.ts';
import type { ForeignStarts } from './foreign-starts.ts';
import { withHeatersOff } from './heaters.ts';
import { withKlipperStopped } from './klipper-stopped.ts';
import { withLines, type BoardLines } from './lines.ts';
import type { CanPlace, VisitOrder } from './place.ts';
import { Stays, type Inside, type VisitKit } from './stay.ts';
import type { Stopwatch } from './stopwatch.ts';
import { usbKind } from './watch-usb.ts';
import type { WayIn } from './way-in.ts';

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
  /** Into the bootloader once more, for one that is not content with what came; the seat it has then. */
  readonly again: (inside: Inside<unknown>) => Promise<Seat>;
}

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
    let { busPath } = memory;
    const visit = async (lines: BoardLines | undefined): Promise<R> => {
      const stays = new Stays({ kit, place, way, watch, memory, lines, signal });
      const sit = async <D>(work: Inside<D>): Promise<{ done: D; seat: Seat }> => {
        const done = await stays.stay(work).finally(() => ({ busPath } = stays));
        const seat: Seat = {
          busPath: busPath ?? '',
          node: way.node,
          releasedAtMs: kit.clock.now(),
          wasReset: lines !== undefined,
          memory,
          klipper,
          again: async (next) => (await sit(next)).seat,
        };
        return { done, seat };
      };
      const { done, seat } = await sit(inside);
      return after(done, seat);
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
      aloneOnBus(kit, way.node, () => (pins === undefined ? visit(undefined) : withLines(kit, pins, visit)));
    return way.entersRom ? withHeatersOff(kit, place, watch, inLines, isStillInRom) : inLines();
  });
}
