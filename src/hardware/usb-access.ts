// Hardware, USB: the node of a device in DFU mode, and the sentences that both adapters have for those who may not use it.
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { OctopusError } from '../errors.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import { errnoOf, textOf } from './system-error.ts';
import type { UsbTree } from './usb-tree.ts';
import { sayHolders, whoHolds } from './who-holds.ts';

/** The DFU interface of every STM32's ROM, AN2606. */
export const DFU_INTERFACE = 0;

export interface UsbPlaces {
  readonly tree: UsbTree;
  /** Where device nodes are: /dev/bus/usb. */
  readonly nodes: string;
  readonly proc: string;
}

const threeDigits = (number: number) => String(number).padStart(3, '0');

/** Throws `device-gone`, or `no-hardware` with the cure. */
export async function requireNode(info: UsbDeviceInfo, { tree, nodes }: UsbPlaces): Promise<string> {
  if ((await tree.deviceNumber(info.busPath)) !== info.deviceNumber) throw gone(info);
  const bus = Number.parseInt(info.busPath, 10);
  const node = join(nodes, threeDigits(bus), threeDigits(info.deviceNumber));
  await access(node, constants.R_OK | constants.W_OK).catch((error: unknown) => {
    throw noAccess(info, node, error);
  });
  return node;
}

export function gone({ busPath }: UsbDeviceInfo, cause?: unknown): OctopusError {
  return new OctopusError('device-gone', `the USB device at ${busPath} is gone`, {
    place: `USB ${busPath}`,
    advice: 'Check the cable and the power of the board.',
    cause,
  });
}

function noAccess(info: UsbDeviceInfo, node: string, error: unknown): OctopusError {
  const what = `the USB device at ${info.busPath} cannot be opened`;
  const isMissing = errnoOf(error) === 'ENOENT';
  return new OctopusError(
    'no-hardware',
    `${what}: ${node}: ${isMissing ? 'no such file' : 'permission denied'}`,
    {
      place: node,
      advice: isMissing
        ? 'Wait a moment and try again; in a container, pass /dev/bus/usb of the host through.'
        : 'Install the udev rule: sudo cp systemd/70-octopus-flasher.rules /etc/udev/rules.d/ && sudo udevadm control --reload && sudo udevadm trigger; it lets in members of plugdev: sudo usermod -aG plugdev USER.',
      cause: error,
    },
  );
}

/** The interface is somebody else's; our own open node is closed by now. */
export async function claimed(
  info: UsbDeviceInfo,
  node: string,
  { tree, proc }: UsbPlaces,
): Promise<OctopusError> {
  const driver = await tree.driverOf(info.busPath, DFU_INTERFACE);
  const isProgram = driver === undefined || driver === 'usbfs';
  const holder = isProgram ? sayHolders(await whoHolds(node, proc)) : `the kernel's driver ${driver}`;
  return new OctopusError('busy', `the USB device at ${info.busPath} is held by ${holder}`, {
    place: node,
    advice: isProgram
      ? 'End that program, then try again.'
      : 'It is not in DFU mode, or a wrong driver has taken it: pull the cable and plug it in again.',
  });
}

/** Every other refusal: what the system says is all that there is. */
export async function refusal(
  info: UsbDeviceInfo,
  node: string,
  error: unknown,
  { tree }: UsbPlaces,
): Promise<OctopusError> {
  if ((await tree.deviceNumber(info.busPath)) !== info.deviceNumber) return gone(info, error);
  return new OctopusError(
    'no-hardware',
    `the USB device at ${info.busPath} cannot be opened: ${textOf(error)}`,
    {
      place: node,
      advice: 'Pull the cable and plug it in again; if it stays, look at what the kernel says: sudo dmesg.',
      cause: error,
    },
  );
}
