// The reset line pulled low until the board has left the bus: that it leaves *now* is the proof that it is ours.
import { OctopusError } from '../errors.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import type { Kit } from './kit.ts';
import { HOLD_MAX_MS, HOLD_MIN_MS, HOLD_UNSEEN_MS, type BoardLines } from './lines.ts';
import { sameVisit, usbKind, waitForUsb } from './watch-usb.ts';

/** One reset pulse with BOOT0 floating; returns the devices that left meanwhile. */
export async function pulseReset(
  kit: Pick<Kit, 'usb' | 'clock'>,
  lines: BoardLines,
  signal?: AbortSignal,
): Promise<readonly UsbDeviceInfo[]> {
  try {
    return await holdReset(kit, lines, await kit.usb.list(), { boot0: 'floating' }, signal);
  } finally {
    await lines.set({ boot0: 'floating', nrst: 'floating' });
  }
}

/** Pulls reset low until the board's device has left the bus: that it leaves *now* is the proof that it is ours. */
export async function holdReset(
  kit: Pick<Kit, 'usb' | 'clock'>,
  lines: BoardLines,
  before: readonly UsbDeviceInfo[],
  levels: { boot0: 'high' | 'floating' },
  signal?: AbortSignal,
): Promise<readonly UsbDeviceInfo[]> {
  await refuseSwappedWires(lines);
  const gone = (now: readonly UsbDeviceInfo[]) => goneFrom(before, now);
  await lines.set({ ...levels, nrst: 'low' });
  const pulledAt = kit.clock.now();
  if (!before.some((device) => usbKind(device) !== undefined)) {
    await kit.clock.sleep(HOLD_UNSEEN_MS, signal);
    return [];
  }
  await waitForUsb(kit, (now) => (gone(now).length > 0 ? true : undefined), HOLD_MAX_MS, signal);
  const heldMs = kit.clock.now() - pulledAt;
  if (heldMs < HOLD_MIN_MS) await kit.clock.sleep(HOLD_MIN_MS - heldMs, signal);
  return gone(await kit.usb.list());
}

/** Boards that were there `before` and are not there any more, or have come anew. */
export function goneFrom(
  before: readonly UsbDeviceInfo[],
  now: readonly UsbDeviceInfo[],
): readonly UsbDeviceInfo[] {
  return before.filter((old) => usbKind(old) !== undefined && !now.some((device) => sameVisit(device, old)));
}

/** Read before anything is driven: the board pulls BOOT0 down and reset up. */
async function refuseSwappedWires(lines: BoardLines): Promise<void> {
  const { boot0, nrst } = await lines.read();
  if (boot0 === 'low' || nrst === 'high') return;
  throw new OctopusError('no-device', 'BOOT0 reads high and reset low although nobody drives them', {
    place: 'BOOT0 and reset wires',
    advice:
      'The two wires are swapped: exchange them, or their pins in the configuration. (A fitted BOOT0 jumper with the reset button pressed looks the same.)',
  });
}
