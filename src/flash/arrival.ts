// A bootloader that has been reached: by which way, where it is, and how it is opened.
import type { Board } from '../boards/types.ts';
import type { ByteChannel } from '../ports/bytes.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import type { Bootloader } from './bootloader.ts';
import { openDfuseBootloader } from './dfuse-bootloader.ts';
import { openKatapultBootloader } from './katapult-bootloader.ts';
import { chipIdOf } from './identity-card.ts';
import type { Kit } from './kit.ts';
import { openPatiently } from './open-patiently.ts';
import type { CanPlace } from './place.ts';

export interface UsbArrival {
  readonly kind: 'rom' | 'katapult';
  readonly device: UsbDeviceInfo;
  /** What ran there before, where it was on USB. */
  readonly before: UsbDeviceInfo | undefined;
  /** From the release of reset, or the request, to its coming, ms. */
  readonly appearedAfterMs: number;
}

export interface CanArrival {
  readonly kind: 'katapult-can';
  readonly node: CanPlace;
  /** To the node, which has an id now. */
  readonly channel: ByteChannel;
  /** Whether its application ran until it was asked, so that one is there. */
  readonly ranBefore: boolean;
}

export type Arrival = UsbArrival | CanArrival;

/** Throws `wrong-mcu`, `wrong-device`, `katapult-wedged`, `bad-descriptor`, `device-gone`, `no-hardware`, `busy`. */
export async function openArrival(
  kit: Pick<Kit, 'usb' | 'serial' | 'clock' | 'recorder'>,
  arrival: Arrival,
  { mcu }: Board,
): Promise<Bootloader> {
  if (arrival.kind === 'rom') return openDfuseBootloader(kit, arrival.device, mcu);
  if (arrival.kind === 'katapult-can') {
    const { channel, node } = arrival;
    const place = `${node.interfaceName}/${node.uuid}`;
    return openKatapultBootloader(kit, channel, { mcu, place, uid: null, over: 'can', canUuid: node.uuid });
  }
  const { busPath, ttyPath = '' } = arrival.device;
  const uid = chipIdOf(arrival.device) ?? null;
  const channel = await openPatiently(kit, () => kit.serial.open(ttyPath));
  return openKatapultBootloader(kit, channel, { mcu, place: busPath, uid, over: 'usb' });
}
