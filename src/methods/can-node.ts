// Methods: a node on a CAN bus that a request names by its uuid, without a section of octopus-flasher.conf.
import { OctopusError } from '../errors.ts';
import type { BoardPlace } from '../flash/place.ts';
import { optional, text, type Parameter } from './parameters.ts';

const UUID = text('', 'UUID');
const uuid: Parameter<string> = {
  ...UUID,
  allowed: '12 hex digits, as octopus canbus-query shows them',
  parse: (given) => {
    const written = UUID.parse(given).toLowerCase();
    if (!/^[0-9a-f]{12}$/.test(written)) throw new TypeError('no uuid');
    return written;
  },
};

/**
 * What Linux takes for a name (net/core/dev.c, dev_valid_name): IFNAMSIZ is 16 with the final zero, no slash, colon
 * or space. Of the rest only what can be printed: the name stands in messages for Klipper's console.
 */
const INTERFACE_NAME = /^(?!\.{1,2}$)[!-.0-9;-~]{1,15}$/;

const plainText = text('the CAN interface, as `ip link` lists it (default: can0)', 'NAME');
export const interfaceName: Parameter<string> = {
  ...plainText,
  fallback: 'can0',
  allowed: 'the name of a network interface: 1 to 15 characters, no slash, colon or space',
  parse: (given) => {
    const name = plainText.parse(given);
    if (!INTERFACE_NAME.test(name)) throw new TypeError('no name of an interface');
    return name;
  },
};

/** For methods that reach a board by its bootloader, on CAN too. */
export const nodeParameters = {
  canbus_uuid: optional(uuid, 'the toolhead on the CAN bus, where octopus-flasher.conf does not name it'),
  canbus_interface: optional(interfaceName, 'the interface of its bus (default: can0)'),
} as const;

interface Named {
  readonly canbus_uuid: string | undefined;
  readonly canbus_interface: string | undefined;
}

/**
 * The place of a request. A node that only the request names keeps its backups under its own name, since there may be
 * several of a model. Throws `bad-parameter` where the configuration has another uuid for this board.
 */
export function nodeAt(place: BoardPlace, { canbus_uuid, canbus_interface }: Named): BoardPlace {
  const { board, can } = place;
  if (canbus_uuid === undefined) {
    if (canbus_interface === undefined || can === undefined) return place;
    return { ...place, can: { ...can, interfaceName: canbus_interface } };
  }
  if (can?.uuid !== undefined && can.uuid !== canbus_uuid) {
    throw new OctopusError(
      'bad-parameter',
      `${board.name} is ${can.uuid}, and the request says ${canbus_uuid}`,
      {
        place: 'canbus_uuid',
        advice: 'Leave canbus_uuid away, or correct it in octopus-flasher.conf.',
      },
    );
  }
  return {
    ...place,
    board: can === undefined ? { ...board, name: `${board.name}-${canbus_uuid}` } : board,
    can: { interfaceName: canbus_interface ?? can?.interfaceName ?? 'can0', uuid: canbus_uuid },
  };
}
