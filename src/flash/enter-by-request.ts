// A running Klipper on USB is asked to enter its bootloader: by the 1200 baud touch, or as a bridge by a CAN admin frame.
// Which bootloader comes lies with what is on the board: Katapult, or the chip's ROM.
import { OctopusError } from '../errors.ts';
import { requestBootloader } from '../protocol/klipper-can.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import type { UsbArrival } from './arrival.ts';
import { sendFrame } from './can-send.ts';
import { chipIdOf, uuidOfChipId } from './identity-card.ts';
import type { Kit } from './kit.ts';
import { openPatiently } from './open-patiently.ts';
import { sameVisit, usbKind, waitForUsb, waitUntilGone } from './watch-usb.ts';

/** A hub tells of a device that left every 256 ms at the latest; Klipper resets at once. */
const LEAVES_WITHIN_MS = 3_000;
/** A stock bootloader may look for its SD card for seconds first. */
const COMES_WITHIN_MS = 10_000;

/** Route `touch-1200`. Throws `no-device`, `busy` naming who holds the port. */
export function enterByTouch(
  kit: Pick<Kit, 'usb' | 'clock' | 'serial'>,
  seen: UsbDeviceInfo,
  signal?: AbortSignal,
): Promise<UsbArrival> {
  const path = seen.ttyPath ?? '';
  return ask(kit, seen, () => openPatiently(kit, () => kit.serial.touch1200(path)), signal);
}

/**
 * Route `can-request` to our own bridge, which hears admin frames on its own interface (Klipper src/generic/usb_canbus.c).
 * Throws `no-hardware` where the interface is absent or down, `no-device`.
 */
export function enterBridgeByRequest(
  kit: Pick<Kit, 'usb' | 'clock' | 'can'>,
  seen: UsbDeviceInfo,
  interfaceName: string,
  signal?: AbortSignal,
): Promise<UsbArrival> {
  const chipId = chipIdOf(seen);
  if (chipId === undefined) throw noUid(seen);
  const frame = requestBootloader(uuidOfChipId(chipId));
  const send = async (): Promise<void> => {
    const bus = await kit.can.open(interfaceName);
    try {
      await sendFrame(kit, bus, frame, interfaceName, signal);
      // It is on its way only: whoever closes the socket at once may take it back.
      await waitUntilGone(kit, seen, LEAVES_WITHIN_MS, signal);
    } finally {
      await bus.close();
    }
  };
  return ask(kit, seen, send, signal);
}

async function ask(
  kit: Pick<Kit, 'usb' | 'clock'>,
  seen: UsbDeviceInfo,
  request: () => Promise<void>,
  signal?: AbortSignal,
): Promise<UsbArrival> {
  const before = await kit.usb.list();
  const askedAt = kit.clock.now();
  await request();
  if (!(await waitUntilGone(kit, seen, LEAVES_WITHIN_MS, signal))) throw deaf(seen);
  const device = await waitForUsb(
    kit,
    (now) =>
      now.find(
        (one) =>
          one.busPath === seen.busPath && isComplete(one) && !before.some((old) => sameVisit(old, one)),
      ),
    COMES_WITHIN_MS,
    signal,
  );
  if (device === undefined) throw nothingCame(seen);
  const kind = usbKind(device);
  if (kind !== 'romDfu' && kind !== 'katapult') throw cameBack(seen);
  return {
    kind: kind === 'romDfu' ? 'rom' : 'katapult',
    device,
    before: seen,
    appearedAfterMs: kit.clock.now() - askedAt,
  };
}

/** Whatever is a board; a Katapult with its tty, which comes a moment after the device. */
function isComplete(device: UsbDeviceInfo): boolean {
  const kind = usbKind(device);
  return kind !== undefined && (kind !== 'katapult' || device.ttyPath !== undefined);
}

function deaf({ busPath }: UsbDeviceInfo): OctopusError {
  return trouble(busPath, `Klipper at USB ${busPath} was asked to enter its bootloader and did not leave`);
}

function cameBack({ busPath }: UsbDeviceInfo): OctopusError {
  return trouble(busPath, `the board at USB ${busPath} was asked for its bootloader and came back as it was`);
}

function nothingCame({ busPath }: UsbDeviceInfo): OctopusError {
  return trouble(
    busPath,
    `the board at USB ${busPath} went for its bootloader, and nothing came within ${COMES_WITHIN_MS / 1000} s`,
  );
}

function trouble(busPath: string, message: string): OctopusError {
  return new OctopusError('no-device', message, {
    place: `USB ${busPath}`,
    advice:
      'Press the reset button on the board, so that its firmware runs again; then put it into its bootloader by hand, or wire it (octopus wiring).',
  });
}

function noUid({ busPath, serial }: UsbDeviceInfo): OctopusError {
  return new OctopusError(
    'no-device',
    `the bridge at USB ${busPath} has the serial number "${serial ?? ''}", which is no chip id: its uuid is not known`,
    {
      place: `USB ${busPath}`,
      advice: 'Its firmware was built with a serial number of its own: use the wires, or BOOT0 by hand.',
    },
  );
}
