// What an arrival in the bootloader tells of the board: which chip it is, where it sits, what ran there before.
import type { Board } from '../boards/types.ts';
import { OctopusError } from '../errors.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import type { Arrival } from './arrival.ts';
import type { BoardMemory } from './board-memory.ts';
import { withIdentity, type Bootloader } from './bootloader.ts';
import { chipIdOf, learnChipId } from './identity-card.ts';
import type { Stopwatch } from './stopwatch.ts';
import { usbKind } from './watch-usb.ts';

/** What a visit teaches about the board, before anything is done there. */
export function learnt(
  arrival: Arrival,
  { identity }: Bootloader,
  memory: BoardMemory,
  watch: Stopwatch,
): BoardMemory {
  if (arrival.kind === 'katapult-can') return {};
  const { device, before, kind, appearedAfterMs } = arrival;
  const told = kind === 'rom' ? { rom: identity.uid, usb: before } : { usb: device };
  const { news, note } = learnChipId(memory, told);
  if (note !== undefined && !watch.notes.includes(note)) watch.note(note);
  if (kind === 'katapult') return { busPath: device.busPath, bootloader: 'katapult', ...news };
  const romAppearsMs = Math.max(appearedAfterMs, memory.romAppearsMs ?? 0);
  return { busPath: device.busPath, romAppearsMs, ...news };
}

/** A ROM may keep the chip's id to itself; what left when reset went low has told it then. */
export function knownBy(chip: Bootloader, arrival: Arrival): Bootloader {
  const before = arrival.kind === 'katapult-can' ? undefined : arrival.before;
  const uid = chip.identity.uid ?? (before && chipIdOf(before)) ?? null;
  return withIdentity(chip, { ...chip.identity, uid });
}

export function ranKlipper(before: UsbDeviceInfo | undefined): boolean {
  const kind = before && usbKind(before);
  return kind === 'klipper' || kind === 'klipperBridge';
}

/** Firmware that was running says which chip it runs on; two chips can show the same ROM. */
export function refuseOtherChip(board: Board, before: UsbDeviceInfo | undefined): void {
  if (before === undefined || usbKind(before) === 'romDfu') return;
  const product = before.product;
  if (product === undefined || !/^stm32/i.test(product) || product === board.mcu.name) return;
  throw new OctopusError(
    'wrong-mcu',
    `the board at ${before.busPath} called itself ${product}, ${board.name} has an ${board.mcu.name}`,
    {
      place: `USB ${before.busPath}`,
      advice: 'Correct board: in the configuration, or the wires go to another board than you think.',
    },
  );
}
