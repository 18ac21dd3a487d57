// What is known of a board, touching nothing: USB, the last flash, backups.
import { listBackups } from './backup.ts';
import { recall, type BoardMemory } from './board-memory.ts';
import type { Kit } from './kit.ts';
import type { BoardPlace } from './place.ts';
import { usbKind, type UsbKind } from './watch-usb.ts';
import type { PrinterReading } from '../ports/printer.ts';

export interface BoardStatus {
  readonly board: string;
  readonly title: string;
  readonly mcu: string;
  /** What is plugged in where the board was last proven to be; all candidates before that. */
  readonly devices: readonly {
    readonly busPath: string;
    readonly kind: UsbKind;
    readonly product: string | null;
    readonly serial: string | null;
  }[];
  /** `unreachable`: nobody could be asked. */
  readonly klipper: PrinterReading['state'] | 'unreachable';
  readonly memory: BoardMemory;
  readonly backups: number;
}

export async function status(
  kit: Pick<Kit, 'usb' | 'store' | 'printer'>,
  { board }: BoardPlace,
): Promise<BoardStatus> {
  const memory = await recall(kit, board.name);
  const devices = (await kit.usb.list()).flatMap((device) => {
    const kind = usbKind(device);
    if (kind === undefined || (memory.busPath !== undefined && memory.busPath !== device.busPath)) return [];
    return [
      { busPath: device.busPath, kind, product: device.product ?? null, serial: device.serial ?? null },
    ];
  });
  return {
    board: board.name,
    title: board.title,
    mcu: board.mcu.name,
    devices,
    klipper: await kit.printer.read().then(
      ({ state }) => state,
      () => 'unreachable' as const,
    ),
    memory,
    backups: (await listBackups(kit, board.name)).length,
  };
}
