// What is known of a board, touching nothing: USB, the last flash, backups.
import { listBackups } from './backup.ts';
import { recall, type BoardMemory } from './board-memory.ts';
import { identityCard, type IdentityCard } from './identity-card.ts';
import type { Kit } from './kit.ts';
import type { BoardPlace } from './place.ts';
import { usbKind, type UsbKind } from './watch-usb.ts';
import type { Printer, PrinterCanNode, PrinterReading } from '../ports/printer.ts';

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
  readonly identity: IdentityCard;
  /** The section of printer.cfg that has this board's uuid; another one than its own is a mistake. */
  readonly sectionOfUuid: string | null;
  readonly memory: BoardMemory;
  readonly backups: number;
}

export async function status(
  kit: Pick<Kit, 'usb' | 'store' | 'printer'>,
  place: BoardPlace,
): Promise<BoardStatus> {
  const { board } = place;
  const memory = await recall(kit, board.name);
  const onUsb = await kit.usb.list();
  const devices = onUsb.flatMap((device) => {
    const kind = usbKind(device);
    if (kind === undefined || (memory.busPath !== undefined && memory.busPath !== device.busPath)) return [];
    return [
      { busPath: device.busPath, kind, product: device.product ?? null, serial: device.serial ?? null },
    ];
  });
  const { klipper, nodes } = await askPrinter(kit.printer);
  const identity = identityCard(place, memory, onUsb, nodes);
  return {
    board: board.name,
    title: board.title,
    mcu: board.mcu.name,
    devices,
    klipper,
    identity,
    sectionOfUuid: nodes.find(({ uuid }) => uuid === identity.canUuid)?.section ?? null,
    memory,
    backups: (await listBackups(kit, board.name)).length,
  };
}

async function askPrinter(
  printer: Printer,
): Promise<{ klipper: BoardStatus['klipper']; nodes: readonly PrinterCanNode[] }> {
  const klipper = await printer.read().then(
    ({ state }) => state,
    () => 'unreachable' as const,
  );
  if (klipper === 'absent' || klipper === 'unreachable') return { klipper, nodes: [] };
  // Where Klipper went in between, nothing is known of its printer.cfg.
  return { klipper, nodes: await printer.canNodes().catch(() => []) };
}
