// The board's verdict on USB: after a reset with BOOT0 floating it comes back as what its flash says, and says its version.
import { OctopusError, asOctopusError } from '../errors.ts';
import { readDictionary } from '../firmware/dictionary.ts';
import { identify, type SerialRequest } from '../protocol/klipper-identify.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import { appearTimeoutMs, recall, remember } from './board-memory.ts';
import { converse } from './converse.ts';
import { learnChipId } from './identity-card.ts';
import type { Kit } from './kit.ts';
import { openPatiently } from './open-patiently.ts';
import type { ExpectedBoot } from './expected-boot.ts';
import type { Seat } from './visit.ts';
import { usbKind, waitForUsb, type UsbKind } from './watch-usb.ts';

/** From reset to the ROM on USB takes 0.2 to 0.6 s; a board that was slower counts double. */
const ROM_COMES_WITHIN_MS = 1_000;

/** Moonraker may see only after 2 s (supervisord) that somebody started a Klipper, which then holds the port. */
const PORT_FOR_MS = 5_000;

/** Throws `no-boot`, `wrong-device`, `wrong-version`. Returns what was seen, in words. */
export async function confirmBoot(
  kit: Pick<Kit, 'usb' | 'clock' | 'serial' | 'store'>,
  board: string,
  seat: Seat,
  expected: ExpectedBoot,
): Promise<string> {
  if (expected.usb === null) {
    await refuseRomAgain(kit, board, seat);
    return 'not on USB, as this firmware is built';
  }
  const timeoutMs = appearTimeoutMs(seat.memory.applicationAppearsMs);
  const wanted = expected.usb;
  const seen = await waitForUsb(
    kit,
    (now) => now.find((device) => device.busPath === seat.busPath && isComplete(device, wanted)),
    timeoutMs,
  );
  if (seen === undefined) throw noBoot(await kit.usb.list(), seat, timeoutMs);
  const kind = usbKind(seen);
  if (kind !== wanted) throw wrongFace(kind, seen, wanted);
  if (seen.product !== undefined && seen.product !== expected.mcu) {
    throw new OctopusError(
      'wrong-device',
      `the board came back as ${seen.product}, expected ${expected.mcu}`,
      {
        place: `USB ${seat.busPath}`,
        advice: 'Another board was plugged into this port meanwhile: check the cables.',
      },
    );
  }
  const appearedAfterMs = kit.clock.now() - seat.releasedAtMs;
  // What cannot be remembered is measured again.
  await rememberBoot(kit, board, seen, appearedAfterMs).catch(() => {});
  if (kind !== 'klipper' || seen.ttyPath === undefined) return `${face(kind)} on USB ${seat.busPath}`;
  const version = await askUnlessHeld(kit, seen.ttyPath, seat);
  if (version === undefined) return `Klipper on ${seen.ttyPath}, held by Klipper's service`;
  refuseOtherVersion(version, expected.version, seen.ttyPath);
  return `Klipper ${version} on ${seen.ttyPath}`;
}

/** Throws `wrong-version`. */
export function refuseOtherVersion(version: string, expected: string | null, place: string): void {
  if (expected === null || version === expected) return;
  throw new OctopusError('wrong-version', `the board answers as ${version}, the image is ${expected}`, {
    place,
    advice:
      'The bootloader started another application than the one written: report this with octopus status.',
  });
}

async function rememberBoot(
  kit: Pick<Kit, 'store'>,
  board: string,
  seen: UsbDeviceInfo,
  appearedAfterMs: number,
): Promise<void> {
  const memory = await recall(kit, board);
  await remember(kit, board, {
    applicationAppearsMs: Math.max(appearedAfterMs, memory.applicationAppearsMs ?? 0),
    ...learnChipId(memory, { usb: seen }).news,
  });
}

/**
 * A firmware that does not show itself on USB cannot be seen to run, but its ROM can be seen where a jumper brings it
 * back. Ends as soon as anything else shows itself there. Throws `no-boot`.
 */
export async function refuseRomAgain(
  kit: Pick<Kit, 'usb' | 'clock' | 'store'>,
  board: string,
  { busPath }: Pick<Seat, 'busPath'>,
): Promise<void> {
  const { romAppearsMs = 0 } = await recall(kit, board);
  const seen = await waitForUsb(
    kit,
    (now) => now.find((device) => device.busPath === busPath && usbKind(device) !== undefined),
    Math.max(ROM_COMES_WITHIN_MS, 2 * romAppearsMs),
  );
  if (seen !== undefined && usbKind(seen) === 'romDfu') throw romAgain(seen.busPath);
}

/** Undefined where a Klipper that somebody else started cannot be kept from the port: then the printer tells the version. */
async function askUnlessHeld(
  kit: Pick<Kit, 'serial' | 'clock'>,
  ttyPath: string,
  { klipper }: Seat,
): Promise<string | undefined> {
  try {
    return await askVersion(kit, ttyPath, () => klipper.settled());
  } catch (error) {
    if (klipper.mayRun && asOctopusError(error).code === 'busy') return undefined;
    throw error;
  }
}

/**
 * Asks a running Klipper for its dictionary. Throws `wrong-device`, `busy`.
 * @param isFree resolves when nobody of ours is still being kept from the port; asked before each try
 */
export async function askVersion(
  kit: Pick<Kit, 'serial' | 'clock'>,
  ttyPath: string,
  isFree: () => Promise<void>,
): Promise<string> {
  const open = async () => {
    await isFree();
    return kit.serial.open(ttyPath);
  };
  const port = await openPatiently(kit, open, PORT_FOR_MS);
  try {
    const compressed = await converse(identify(), async (request: SerialRequest) => {
      if (request.kind === 'read') return port.read(request.timeoutMs);
      await port.write(request.bytes);
      return 'ok' as const;
    });
    const version = readDictionary(compressed)?.version;
    if (typeof version === 'string') return version;
  } finally {
    await port.close();
  }
  throw new OctopusError('wrong-device', `${ttyPath} sent a data dictionary that cannot be read`, {
    place: ttyPath,
    advice: 'Flash again; if it stays, the image itself is damaged.',
  });
}

/** The serial node appears a moment after the device; without it the version cannot be asked. */
function isComplete(device: UsbDeviceInfo, wanted: UsbKind): boolean {
  const kind = usbKind(device);
  return kind !== undefined && (kind !== 'klipper' || wanted !== 'klipper' || device.ttyPath !== undefined);
}

function noBoot(now: readonly UsbDeviceInfo[], seat: Seat, timeoutMs: number): OctopusError {
  const there = now.find((device) => device.busPath === seat.busPath);
  const seen =
    there === undefined ? 'nothing came back' : `only ${there.product ?? 'an unknown device'} came back`;
  return new OctopusError(
    'no-boot',
    `${seen} at USB ${seat.busPath} within ${(timeoutMs / 1000).toFixed(1)} s of the reset`,
    {
      place: `USB ${seat.busPath}`,
      advice:
        'Most often the wrong crystal, or a communication interface other than USB on PA11/PA12: check make menuconfig, then flash again, or octopus restore.',
    },
  );
}

/** The error for a board that is in DFU mode after a reset. */
export function romAgain(busPath: string): OctopusError {
  return new OctopusError('no-boot', 'after a reset with BOOT0 floating the board is in DFU mode again', {
    place: `USB ${busPath}`,
    advice: 'The BOOT0 jumper is fitted: take it out, the wire replaces it.',
  });
}

function wrongFace(kind: UsbKind | undefined, seen: UsbDeviceInfo, wanted: UsbKind): OctopusError {
  if (kind === 'romDfu') return romAgain(seen.busPath);
  return new OctopusError('no-boot', `the board came back as ${face(kind)} instead of ${face(wanted)}`, {
    place: `USB ${seen.busPath}`,
    advice:
      kind === 'katapult'
        ? 'Katapult does not see a valid application at the address it launches: flash again.'
        : 'Another application than the one written was started: compare octopus inspect with the board.',
  });
}

function face(kind: UsbKind | undefined): string {
  switch (kind) {
    case 'klipper':
      return 'Klipper';
    case 'klipperBridge':
      return 'Klipper USB-CAN bridge';
    case 'katapult':
      return 'Katapult';
    case 'romDfu':
      return 'ROM in DFU mode';
    case undefined:
      return 'something unknown';
  }
}
