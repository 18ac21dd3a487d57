// The admin frames of Klipper and Katapult on a CAN bus: who has no id, take this id, start your bootloader (Klipper
// docs/CANBUS_protocol.md, "Admin messages"). Pure: frames to send, and what the frames that come mean.
import { OctopusError } from '../errors.ts';
import type { CanFrame } from '../ports/can.ts';

/** docs/CANBUS_protocol.md: host to nodes, and nodes to host. */
const ADMIN_REQUEST_ID = 0x3f0;
const ADMIN_ANSWER_ID = 0x3f1;
/** docs/CANBUS_protocol.md, "CMD_QUERY_UNASSIGNED message". A node that has an id does not answer it. */
const QUERY_UNASSIGNED = 0x00;
/**
 * Klipper src/generic/canserial.c. A node takes the id although it has one already (can_process_set_klipper_nodeid
 * compares the uuid only), so Klipper's host can give its own id later. Another Klipper that has this very id shuts down.
 */
const SET_KLIPPER_NODEID = 0x01;
/** The same file: with and without an id, and in shutdown. Nobody answers it. */
const REQUEST_BOOTLOADER = 0x02;
/** Katapult src/generic/canserial.c. Another Katapult that has this very id loses it. */
const SET_KATAPULT_NODEID = 0x11;
/** The same file: it names no node, every Katapult on the bus loses its id. */
const CLEAR_KATAPULT_NODEIDS = 0x12;
/** docs/CANBUS_protocol.md, "RESP_NEED_NODEID message": this byte, then the uuid. */
const NEED_NODEID = 0x20;
const UUID_BYTES = 6;
const UUID = /^[0-9a-f]{12}$/;
/**
 * The byte behind the uuid is the command that gives this program an id: Klipper src/generic/canserial.c (0x01),
 * Katapult src/generic/canserial.c (0x11). The document does not have it, and scripts/canbus_query.py takes an
 * answer without it for Klipper's.
 */
const APPLICATIONS: ReadonlyMap<number, CanApplication> = new Map([
  [0x01, 'klipper'],
  [0x11, 'katapult'],
]);
const WITHOUT_BYTE = 'klipper';

export type CanApplication = 'klipper' | 'katapult' | 'unknown';

export interface NodeAnswer {
  /** 12 lower-case hex digits, as printer.cfg's `canbus_uuid` has them. */
  readonly uuid: string;
  readonly application: CanApplication;
}

export function queryUnassigned(): CanFrame {
  return { id: ADMIN_REQUEST_ID, data: Uint8Array.of(QUERY_UNASSIGNED) };
}

/** Starts the bootloader under a Klipper. @param uuid as printer.cfg has it. Throws `bad-parameter` where it is none. */
export function requestBootloader(uuid: string): CanFrame {
  return admin(REQUEST_BOOTLOADER, uuid);
}

/** @param nodeId 1 to 255; its frames are then at `dataIds(nodeId)`. Throws `bad-parameter` where the uuid is none. */
export function setKlipperNodeId(uuid: string, nodeId: number): CanFrame {
  return admin(SET_KLIPPER_NODEID, uuid, nodeId);
}

/** As `setKlipperNodeId`, for a Katapult. */
export function setKatapultNodeId(uuid: string, nodeId: number): CanFrame {
  return admin(SET_KATAPULT_NODEID, uuid, nodeId);
}

export function clearKatapultNodeIds(): CanFrame {
  return { id: ADMIN_REQUEST_ID, data: Uint8Array.of(CLEAR_KATAPULT_NODEIDS) };
}

/** can_decode_nodeid of src/generic/canserial.c: host to node, and the node's answers one above. */
export function dataIds(nodeId: number): { readonly toNode: number; readonly toHost: number } {
  const toNode = nodeId * 2 + 0x100;
  return { toNode, toHost: toNode + 1 };
}

function admin(command: number, uuid: string, ...rest: number[]): CanFrame {
  if (!UUID.test(uuid)) {
    throw new OctopusError('bad-parameter', `"${uuid}" is no uuid of a CAN node`, {
      place: 'uuid',
      advice: '12 hex digits, as octopus canbus-query prints them.',
    });
  }
  const digits = Array.from({ length: UUID_BYTES }, (_, at) =>
    Number.parseInt(uuid.slice(2 * at, 2 * at + 2), 16),
  );
  return { id: ADMIN_REQUEST_ID, data: Uint8Array.of(command, ...digits, ...rest) };
}

/** `foreign` is other traffic, `malformed` what claims to be an answer and is none. */
export function readAnswer({ id, data }: CanFrame): NodeAnswer | 'foreign' | 'malformed' {
  if (id !== ADMIN_ANSWER_ID) return 'foreign';
  const [kind, ...rest] = data;
  if (kind !== NEED_NODEID || rest.length < UUID_BYTES || rest.length > UUID_BYTES + 1) return 'malformed';
  const uuid = rest.slice(0, UUID_BYTES).map(hexByte).join('');
  const byte = rest[UUID_BYTES];
  return { uuid, application: byte === undefined ? WITHOUT_BYTE : (APPLICATIONS.get(byte) ?? 'unknown') };
}

function hexByte(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
