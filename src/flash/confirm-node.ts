// The board's verdict on CAN: a node comes back as Klipper, and says its version.
import { askVersionOnCan } from './can-version.ts';
import { refuseOtherVersion } from './confirm.ts';
import { chipIdOf, uuidOfChipId } from './identity-card.ts';
import type { Kit } from './kit.ts';
import type { CanPlace } from './place.ts';

/** Throws `no-boot` when it does not come back, `wrong-version`. Returns what was seen, in words. */
export async function confirmNode(
  kit: Pick<Kit, 'can' | 'clock'>,
  node: CanPlace,
  expected: string | null,
): Promise<string> {
  const version = await askVersionOnCan(kit, node);
  const place = `${node.interfaceName} ${node.uuid}`;
  refuseOtherVersion(version, expected, place);
  return `Klipper ${version} on ${place}`;
}

/** Whose interface a bridge is: Klipper's default of `canbus_interface`. */
const BRIDGE_INTERFACE = 'can0';

/** A bridge hears its own uuid on the interface that it is. Throws as `confirmNode`, and where that is down or absent. */
export async function confirmBridge(
  kit: Pick<Kit, 'can' | 'clock' | 'usb'>,
  busPath: string,
  expected: string | null,
): Promise<string> {
  const device = (await kit.usb.list()).find((one) => one.busPath === busPath);
  const chipId = device && chipIdOf(device);
  if (chipId === undefined) return `Klipper USB-CAN bridge on USB ${busPath}`;
  const uuid = uuidOfChipId(chipId);
  return `bridge on USB ${busPath}: ${await confirmNode(kit, { interfaceName: BRIDGE_INTERFACE, uuid }, expected)}`;
}
