// What a board does now, without a word about what it should do: does it run, and is it in a bootloader?
import { asOctopusError } from '../errors.ts';
import { recall } from './board-memory.ts';
import { aloneOnBus } from './bus-lock.ts';
import { boardOnUsb } from './board-on-usb.ts';
import { ANSWER_MS, CanAdmin } from './can-admin.ts';
import { canNodeOf } from './can-place.ts';
import { askVersionOnCan } from './can-version.ts';
import { askVersion } from './confirm.ts';
import { passGate, withKlipperStopped } from './klipper-stopped.ts';
import type { Kit } from './kit.ts';
import type { BoardPlace, VisitOrder } from './place.ts';
import type { VisitKit } from './stay.ts';
import { clearKatapultNodeIds } from '../protocol/klipper-can.ts';
import type { Stopwatch } from './stopwatch.ts';
import { usbKind, type UsbKind } from './watch-usb.ts';

/** So long Klipper may take to say whether it has its board, before the board is looked at by ourselves. */
const VERDICT_MS = 100_000;

/** Klipper knows best; where it does not have the board, the board is asked itself, Klipper stopped. */
export async function whatRuns(
  kit: VisitKit,
  order: VisitOrder,
  kind: UsbKind | undefined,
  watch: Stopwatch,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  if (isBootloader(kind)) return undefined;
  if (kind === undefined && order.place.can === undefined && order.place.board.kind !== 'toolhead')
    return undefined;
  const version = await versionInKlipper(kit, order.place);
  if (version !== undefined) return `Klipper has it, with ${version}`;
  await passGate(kit, order.confirm, watch);
  return withKlipperStopped(kit, order, watch, signal, async (klipper) => {
    try {
      const node = await canNodeOf(kit, order.place);
      if (node !== undefined) {
        const said = await aloneOnBus(kit, node, () => askVersionOnCan(kit, node, signal));
        return `Klipper ${said} on ${node.uuid}`;
      }
      const seen = await onUsb(kit, order.place);
      if (seen?.ttyPath === undefined) return kind === 'klipperBridge' ? 'Klipper USB-CAN bridge' : undefined;
      return `Klipper ${await askVersion(kit, seen.ttyPath, () => klipper.settled())} on ${seen.ttyPath}`;
    } catch (thrown) {
      signal?.throwIfAborted();
      watch.note(`It was not seen to run: ${asOctopusError(thrown).message}.`);
      return undefined;
    }
  });
}

/** Undefined where Klipper does not have the board, or none tells. */
async function versionInKlipper(
  { printer }: Pick<Kit, 'printer'>,
  { can, section }: BoardPlace,
): Promise<string | undefined> {
  // Of a node that printer.cfg does not name Klipper knows nothing.
  if (can !== undefined && section === undefined) return undefined;
  try {
    const { state } = await printer.read();
    if (state !== 'ready' && state !== 'startup') return undefined;
    const verdict = await printer.verdict(VERDICT_MS);
    return verdict.state === 'ready' ? verdict.version : undefined;
  } catch {
    return undefined;
  }
}

/**
 * A node in Katapult answers as such, or is silent with the id that a dead job gave it: then the ids of all Katapults are
 * taken back. One that talks to Klipper's host answers nobody else. Throws `busy` where another job has the bus.
 */
export async function isInBootloader(
  kit: VisitKit,
  place: BoardPlace,
  kind: UsbKind | undefined,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (isBootloader(kind)) return true;
  const node = await canNodeOf(kit, place).catch(() => undefined);
  if (node === undefined) return false;
  return aloneOnBus(kit, node, async () => {
    const bus = await kit.can.open(node.interfaceName).catch(() => undefined);
    if (bus === undefined) return false;
    try {
      const admin = new CanAdmin(kit, bus, node, signal);
      const first = await admin.ask(ANSWER_MS);
      if (first !== undefined) return first === 'katapult';
      await admin.send(clearKatapultNodeIds());
      return (await admin.ask(ANSWER_MS)) === 'katapult';
    } finally {
      await bus.close();
    }
  });
}

const isBootloader = (kind: UsbKind | undefined): boolean => kind === 'romDfu' || kind === 'katapult';

async function onUsb(kit: Pick<Kit, 'store' | 'usb'>, place: BoardPlace) {
  return boardOnUsb(await kit.usb.list(), place, await recall(kit, place.board.name));
}

/**
 * @param mayBeInBootloader at a first contact nobody knows the board's port yet, and a ROM has no name: that one is there,
 *   and the reset wire will tell whose it is
 */
export async function kindOnUsb(
  kit: Pick<Kit, 'store' | 'usb'>,
  place: BoardPlace,
  mayBeInBootloader: boolean,
): Promise<UsbKind | undefined> {
  const seen = await onUsb(kit, place);
  if (seen !== undefined) return usbKind(seen);
  const { busPath } = await recall(kit, place.board.name);
  const mayBeAny = mayBeInBootloader && busPath === undefined && place.pins !== undefined;
  const isRomThere = mayBeAny && (await kit.usb.list()).some((device) => usbKind(device) === 'romDfu');
  return isRomThere ? 'romDfu' : undefined;
}
