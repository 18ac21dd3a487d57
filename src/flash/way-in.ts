// Before anything is touched: which ways lead into this board's bootloader, and what they mean for its heaters.
import { boardOnUsb } from './board-on-usb.ts';
import { recall } from './board-memory.ts';
import { canNodeOf } from './can-place.ts';
import { noWay } from './enter-bootloader.ts';
import { heaterSafety, passHeaters } from './heaters.ts';
import type { Kit } from './kit.ts';
import type { CanPlace, VisitOrder } from './place.ts';
import { planRoutes, type RoutePlan, type Situation } from './routes.ts';
import type { Stopwatch } from './stopwatch.ts';
import { usbKind } from './watch-usb.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';

export interface WayIn {
  readonly plan: RoutePlan;
  /** The board as it shows itself on USB. */
  readonly seen: UsbDeviceInfo | undefined;
  /** The board as a node on CAN. */
  readonly node: CanPlace | undefined;
  /** False where its heaters would have to be vouched for: a ROM that comes all the same is left at once. */
  readonly mayEnterRom: boolean;
  /** Whether any of the ways may end in the ROM. */
  readonly entersRom: boolean;
}

/**
 * @param needs what the work reaches: Katapult writes only behind itself
 * Throws `no-device` where no way can work, `needs-confirmation` where only the heaters stand against it.
 */
export async function findWayIn(
  kit: Pick<Kit, 'printer' | 'store' | 'usb'>,
  { place, confirm }: VisitOrder,
  needs: Situation['needs'],
  watch: Stopwatch,
  isDryRun = false,
): Promise<WayIn> {
  const { board } = place;
  const memory = await recall(kit, board.name);
  const node = await canNodeOf(kit, place);
  const seen = node === undefined ? boardOnUsb(await kit.usb.list(), place, memory) : undefined;
  const runs = node === undefined ? seen && usbKind(seen) : 'can-node';
  const mayEnterRom = heaterSafety(place).kind !== 'unknown' || confirm.includes('heaters_unplugged');
  const planFor = (isRomFree: boolean): RoutePlan =>
    planRoutes(
      { board, routes: place.routes ?? board.routes },
      {
        hasWires: place.pins !== undefined,
        needs,
        mayEnterRom: isRomFree,
        runs,
        hasTty: seen?.ttyPath !== undefined,
        bootloader: memory.bootloader,
      },
    );
  let plan = planFor(mayEnterRom);
  if (plan.tries.length === 0 && !mayEnterRom) plan = planFor(true);
  if (plan.tries.length === 0) throw noWay(place, plan);
  const entersRom = plan.tries.some(({ leadsTo }) => leadsTo !== 'katapult');
  if (entersRom) passHeaters(place, confirm, watch, isDryRun);
  return { plan, seen, node, mayEnterRom, entersRom };
}
