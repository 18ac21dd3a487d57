// Is this the chip the board file promises? The ROM's map and descriptors say so, its registers tell which one it is.
import { flashSizeBytes, romOf } from '../boards/boards.ts';
import type { Mcu } from '../boards/types.ts';
import { OctopusError } from '../errors.ts';
import type { DfuDescription } from '../protocol/dfu-descriptor.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import type { ChipIdentity } from './bootloader.ts';

/** UID: 96 bits (RM0390 39.1, RM0090 39.1, RM0468 61.1). */
const UID_BYTES = 12;

/**
 * Throws `wrong-mcu` when the ROM is another chip's. An F446 and an F407 with 512 KiB show the same map; the
 * passport's MCU and the running firmware's USB product string tell those two apart (preflight and the walk).
 * @param read reads registers; refused by some ROMs (unproven which) and by every read-protected chip, then the id
 *   stays unknown
 * @param recover brings the ROM back to idle after a refusal
 */
export async function identifyChip(
  mcu: Mcu,
  info: UsbDeviceInfo,
  description: DfuDescription,
  read: (address: number, length: number) => Promise<Uint8Array>,
  recover: () => Promise<void>,
): Promise<ChipIdentity> {
  const map = description.memoryName.split('/').slice(2).join('/');
  const rom = romOf(mcu);
  if (info.bcdDevice !== rom.bcdDevice || !rom.maps.includes(map.trim())) {
    throw new OctopusError(
      'wrong-mcu',
      `the chip in DFU mode is not an ${mcu.name}: its ROM shows "${description.memoryName}"`,
      {
        place: `USB ${info.busPath}`,
        advice:
          'Correct board: in the configuration (the chip is printed on its largest package), then flash an image built for it.',
      },
    );
  }
  const claimed = description.sectors.reduce((sum, sector) => sum + sector.sizeBytes, 0);
  const attempt = async (address: number | undefined, length: number): Promise<Uint8Array | undefined> => {
    if (address === undefined) return undefined;
    try {
      return await read(address, length);
    } catch (error) {
      if (!(error instanceof OctopusError) || error.code === 'device-gone') throw error;
      await recover();
      return undefined;
    }
  };
  const sizeRegister = await attempt(mcu.flashSizeAddress, 2);
  const uid = await attempt(mcu.uidAddress, UID_BYTES);
  // An H723ZE claims 1 MB and has 512 KiB: the smallest of all claims counts.
  const registerBytes =
    sizeRegister === undefined ? Infinity : ((sizeRegister[0] ?? 0) | ((sizeRegister[1] ?? 0) << 8)) * 1024;
  return {
    mcu: mcu.name,
    busPath: info.busPath,
    uid: uid === undefined || uid.every((byte) => byte === 0xff) ? null : Buffer.from(uid).toString('hex'),
    flashSizeBytes: Math.min(claimed, registerBytes === 0 ? Infinity : registerBytes, flashSizeBytes(mcu)),
    transferSizeBytes: description.transferSizeBytes,
    launchAddress: null,
    version: null,
  };
}
