// A board's identity card: its chip's id, what follows from that, where it is plugged in, and what printer.cfg calls it.
// A ROM's serial number stands on it and is never what a board is known by: all F446 show the same.
import { CHIP_ID_BYTES, canUuid, romSerial, type RomSerial } from '../protocol/uuid.ts';
import type { PrinterCanNode } from '../ports/printer.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import type { BoardMemory } from './board-memory.ts';
import type { BoardPlace } from './place.ts';
import { usbKind } from './watch-usb.ts';

/**
 * Who told the chip's id: the `rom`, which read it; `usb`, the firmware's serial where the board was proven to be; or
 * `only-candidate`, the serial of the only device of this chip, while nobody knows where the board is.
 */
export type ChipIdSource = 'rom' | 'usb' | 'only-candidate';

export interface IdentityCard {
  /** 24 lower-case hex digits. */
  readonly chipId: string | null;
  readonly chipIdFrom: ChipIdSource | null;
  /** The id of another chip, whose firmware is at this board's place on USB now. */
  readonly strangerOnUsb: string | null;
  /** What Klipper and Katapult show on USB, as `/dev/serial/by-id` has it. */
  readonly usbSerial: string | null;
  /** What the ROM shows in DFU mode: no identity. */
  readonly dfuSerial: RomSerial;
  readonly canUuid: string | null;
  /** Where it was last proven to be, by its own reset wire. */
  readonly busPath: string | null;
  /** Its section of printer.cfg. */
  readonly section: string | null;
  /** `canbus_uuid` of that section. Null where it has none, or Klipper cannot tell. */
  readonly canbusUuid: string | null;
  /** Whether that is this chip's. */
  readonly isCanbusUuidRight: boolean | null;
}

/** @param nodes what printer.cfg has on CAN buses; empty while nobody can tell */
export function identityCard(
  { board, section: configured }: Pick<BoardPlace, 'board' | 'section'>,
  memory: BoardMemory,
  devices: readonly UsbDeviceInfo[],
  nodes: readonly PrinterCanNode[],
): IdentityCard {
  const remembered = CHIP_ID.test(memory.chipUid ?? '') ? memory.chipUid : undefined;
  const seen = chipIdSeen(board.mcu.name, memory.busPath, devices);
  const chipId = remembered ?? (seen?.isFit === true ? seen.chipId : null);
  const uuid = chipId === null ? null : canUuid(bytesOf(chipId));
  const section = configured ?? nodes.find((node) => node.uuid === uuid)?.section ?? null;
  const canbusUuid = nodes.find((node) => node.section === section)?.uuid ?? null;
  return {
    chipId,
    chipIdFrom: chipId === null ? null : sourceOf(memory, remembered),
    strangerOnUsb: memory.busPath === undefined || seen?.chipId === chipId ? null : (seen?.chipId ?? null),
    usbSerial: chipId?.toUpperCase() ?? null,
    dfuSerial: romSerial(board.mcu.name, chipId === null ? undefined : bytesOf(chipId)),
    canUuid: uuid,
    busPath: memory.busPath ?? null,
    section,
    canbusUuid,
    isCanbusUuidRight: canbusUuid === null || uuid === null ? null : canbusUuid === uuid,
  };
}

/**
 * The chip's id, which Klipper, its bridge and Katapult show as their USB serial (Klipper src/generic/usb_cdc.c and
 * usb_canbus.c, Katapult src/usb_cdc.c; 24 digits of an STM32). A CAN adapter with candleLight has the bridge's ids and
 * a serial like it, and is told by its maker's name, as by Katapult's scripts/flashtool.py.
 */
export function chipIdOf(device: UsbDeviceInfo): string | undefined {
  const kind = usbKind(device);
  if (kind === undefined || kind === 'romDfu') return undefined;
  if (kind === 'klipperBridge' && device.manufacturer?.toLowerCase() !== 'klipper') return undefined;
  const serial = device.serial?.toLowerCase() ?? '';
  return CHIP_ID.test(serial) ? serial : undefined;
}

export function uuidOfChipId(chipId: string): string {
  return canUuid(bytesOf(chipId));
}

/** What a chip's id was proven to be by the board's own reset wire, and by whom. */
export interface ChipTold {
  readonly rom?: string | null;
  /** The firmware that left when reset went low, or came when it was released. */
  readonly usb?: UsbDeviceInfo | undefined;
}

/**
 * What to remember of it. What a ROM has told, only a ROM corrects, or the firmware where that ROM tells nothing now.
 * `note` where it is not what it was the last time.
 */
export function learnChipId(
  { chipUid, chipUidFrom = 'rom' }: BoardMemory,
  { rom, usb }: ChipTold,
): { readonly news: Pick<BoardMemory, 'chipUid' | 'chipUidFrom'>; readonly note: string | undefined } {
  const from = typeof rom === 'string' ? 'rom' : 'usb';
  const chipId = rom ?? (usb && chipIdOf(usb));
  const known = chipUid ?? undefined;
  const news = { chipUid: chipId, chipUidFrom: from } as const;
  if (chipId === undefined) return { news: {}, note: undefined };
  if (known === undefined) return { news, note: undefined };
  if (known === chipId) return { news: from === 'rom' ? news : {}, note: undefined };
  if (rom === undefined && chipUidFrom === 'rom') {
    const note = `Its firmware says chip ${chipId}, the ROM of this board said ${known}: octopus backup asks the ROM again.`;
    return { news: {}, note };
  }
  return { news, note: `This is another chip than the last time: ${chipId}, it was ${known}.` };
}

const CHIP_ID = new RegExp(`^[0-9a-f]{${2 * CHIP_ID_BYTES}}$`);

function sourceOf(
  { busPath, chipUidFrom }: BoardMemory,
  remembered: string | null | undefined,
): ChipIdSource {
  if (remembered !== undefined) return chipUidFrom ?? 'rom';
  return busPath === undefined ? 'only-candidate' : 'usb';
}

/** At the board's place, or where that is not known, of the only device that can be this board. */
function chipIdSeen(
  mcu: string,
  busPath: string | undefined,
  devices: readonly UsbDeviceInfo[],
): { readonly chipId: string; readonly isFit: boolean } | undefined {
  const candidates = devices.flatMap((device) => {
    const chipId = chipIdOf(device);
    const isFit = device.product === mcu;
    const mayBe = busPath === undefined ? isFit : device.busPath === busPath;
    return chipId !== undefined && mayBe ? [{ chipId, isFit }] : [];
  });
  return candidates.length === 1 ? candidates[0] : undefined;
}

function bytesOf(chipId: string): Uint8Array {
  return Uint8Array.from(chipId.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}
