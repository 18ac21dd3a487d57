// Which of the devices on USB is this board, as far as that is known before anything is touched.
import type { UsbDeviceInfo } from '../ports/usb.ts';
import type { BoardMemory } from './board-memory.ts';
import type { BoardPlace } from './place.ts';
import { usbKind } from './watch-usb.ts';

/**
 * At the port where it was proven to be, or as its owner knows it, or the only one of its chip; undefined where that
 * is not there, or where several could be it. A ROM's serial number tells nothing: every F446 and H723 has the same.
 */
export function boardOnUsb(
  devices: readonly UsbDeviceInfo[],
  { board, busPath, serial }: BoardPlace,
  memory: Pick<BoardMemory, 'busPath'>,
): UsbDeviceInfo | undefined {
  const boards = devices.filter((device) => usbKind(device) !== undefined);
  const path = memory.busPath ?? busPath;
  if (path !== undefined) return boards.find((device) => device.busPath === path);
  const running = boards.filter((device) => usbKind(device) !== 'romDfu');
  if (serial !== undefined) return running.find((device) => isNamed(device, serial));
  const alike = running.filter(({ product }) => product === board.mcu.name);
  return alike.length === 1 ? alike[0] : undefined;
}

/** @param path as printer.cfg has it: udev puts the serial number into /dev/serial/by-id (60-serial.rules) */
function isNamed({ ttyPath, serial }: UsbDeviceInfo, path: string): boolean {
  return path === ttyPath || (serial !== undefined && path.includes(`_${serial}-if`));
}
