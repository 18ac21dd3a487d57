// Where a CAN node is: its owner says it, or printer.cfg under the board's section.
import { OctopusError } from '../errors.ts';
import type { Kit } from './kit.ts';
import type { BoardPlace, CanPlace } from './place.ts';

/** Undefined for a board that is not on CAN. Throws `bad-config` where its uuid stands nowhere, `printer-unreachable`. */
export async function canNodeOf(
  { printer }: Pick<Kit, 'printer'>,
  { board, can, section = 'mcu' }: BoardPlace,
): Promise<CanPlace | undefined> {
  if (can === undefined) {
    if (board.kind !== 'toolhead') return undefined;
    throw nowhere(board.name, section);
  }
  if (can.uuid !== undefined) return { interfaceName: can.interfaceName, uuid: can.uuid };
  const known = (await printer.canNodes()).find((node) => node.section === section);
  if (known === undefined) throw nowhere(board.name, section);
  return { interfaceName: known.interfaceName, uuid: known.uuid };
}

function nowhere(board: string, section: string): OctopusError {
  return new OctopusError('bad-config', `${board} is a node on a CAN bus, and its uuid is not known`, {
    place: 'canbus_uuid',
    advice: `Write "canbus_uuid:" into [board ${board}] of octopus-flasher.conf (octopus canbus-query shows it), or "mcu:" with its section of printer.cfg; there is no [${section}] with a canbus_uuid, or Klipper cannot tell now.`,
  });
}
