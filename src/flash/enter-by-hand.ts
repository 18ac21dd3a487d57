// Route `by-hand`, for a board without wires: its owner fits the jumper and presses the button, and is told so; the device
// is noticed at once.
import type { Board } from '../boards/types.ts';
import { OctopusError } from '../errors.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import type { UsbArrival } from './arrival.ts';
import type { Kit } from './kit.ts';
import { askOwner, callOwnerBack, HAND_MS } from './owners-hand.ts';
import type { LeadsTo } from './routes.ts';
import type { Stopwatch } from './stopwatch.ts';
import { sameVisit, usbKind, waitForUsb } from './watch-usb.ts';

/**
 * @param busPath where the board is known to be plugged in
 * Throws `no-device` when nobody did it in time, `device-came-elsewhere`, `two-boards-alike`.
 */
export async function enterByHand(
  kit: Pick<Kit, 'usb' | 'clock'>,
  { name, mcu }: Board,
  busPath: string | undefined,
  leadsTo: LeadsTo,
  watch: Stopwatch,
  signal?: AbortSignal,
): Promise<UsbArrival> {
  const before = await kit.usb.list();
  ask(watch, name, leadsTo, before);
  const began = kit.clock.now();
  const come = await waitForUsb(
    kit,
    (now) => {
      const arrived = now.filter((device) => isBootloader(device, leadsTo) && !isOld(device, before));
      const ours = arrived.filter((device) => busPath === undefined || device.busPath === busPath);
      return ours.length > 0 ? ours : undefined;
    },
    HAND_MS,
    signal,
  );
  const [device, ...others] = come ?? [];
  if (device === undefined) throw await nobodyCame(kit, before, busPath, leadsTo);
  if (others.length > 0) throw several([device, ...others]);
  const kind = usbKind(device) === 'romDfu' ? 'rom' : 'katapult';
  if (kind === 'katapult' && device.product !== undefined && device.product !== mcu.name)
    throw otherChip(device, name, mcu.name);
  const old = before.find((one) => one.busPath === device.busPath && usbKind(one) !== undefined);
  callOwnerBack(watch, name);
  return { kind, device, before: old, appearedAfterMs: kit.clock.now() - began };
}

/** A device that was there before is nobody's proof: it has to leave and come again. */
function ask(watch: Stopwatch, board: string, leadsTo: LeadsTo, before: readonly UsbDeviceInfo[]): void {
  const twice = `for Katapult, press the reset button of ${board} twice within half a second`;
  const jumper = `put the BOOT0 jumper of ${board} on and press its reset button (or switch it off and on)`;
  const what = leadsTo === 'katapult' ? twice : leadsTo === 'rom' ? jumper : `${jumper}; or, ${twice}`;
  const again = before.some((device) => isBootloader(device, leadsTo))
    ? ' A board that is in its bootloader already has to be reset once more, so that it is seen to be this one.'
    : '';
  askOwner(watch, what, again);
}

function isBootloader(device: UsbDeviceInfo, leadsTo: LeadsTo): boolean {
  const kind = usbKind(device);
  if (kind === 'romDfu') return leadsTo !== 'katapult';
  // Its serial node comes a moment after the device.
  return kind === 'katapult' && leadsTo !== 'rom' && device.ttyPath !== undefined;
}

function isOld(device: UsbDeviceInfo, before: readonly UsbDeviceInfo[]): boolean {
  return before.some((old) => sameVisit(old, device));
}

async function nobodyCame(
  { usb }: Pick<Kit, 'usb'>,
  before: readonly UsbDeviceInfo[],
  busPath: string | undefined,
  leadsTo: LeadsTo,
): Promise<OctopusError> {
  const elsewhere = (await usb.list()).find(
    (device) => isBootloader(device, leadsTo) && !isOld(device, before),
  );
  if (elsewhere !== undefined) {
    return new OctopusError(
      'device-came-elsewhere',
      `a bootloader came at USB ${elsewhere.busPath}, but the board is at ${busPath}`,
      {
        place: `USB ${elsewhere.busPath}`,
        advice: `It may be another board. If this one was moved to another port, write "bus_path: ${elsewhere.busPath}" into its section of octopus-flasher.conf.`,
      },
    );
  }
  return new OctopusError('no-device', `no bootloader came within ${HAND_MS / 60_000} minutes`, {
    place: 'USB',
    advice:
      'Start it again when you are at the printer. If the jumper was on and the button pressed: unplug displays from EXP1/EXP2 and the TFT port, and check the USB cable.',
  });
}

function several(devices: readonly UsbDeviceInfo[]): OctopusError {
  const paths = devices.map(({ busPath }) => busPath).join(', ');
  return new OctopusError('two-boards-alike', `more than one bootloader came at once: ${paths}`, {
    place: paths,
    advice: 'Put one board at a time into its bootloader.',
  });
}

function otherChip({ busPath, product }: UsbDeviceInfo, board: string, mcu: string): OctopusError {
  return new OctopusError('wrong-mcu', `the Katapult that came is on an ${product}, ${board} has an ${mcu}`, {
    place: `USB ${busPath}`,
    advice: 'It is another board; or correct board: in the configuration.',
  });
}
