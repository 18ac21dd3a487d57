// The admin query of Klipper and Katapult: which nodes on a CAN bus have no id? (Klipper docs/CANBUS_protocol.md,
// "Admin messages"). Pure: one frame to send, and what the frames that come mean.
import type { CanFrame } from '../ports/can.ts';

/** docs/CANBUS_protocol.md: host to nodes, and nodes to host. */
const ADMIN_REQUEST_ID = 0x3f0;
const ADMIN_ANSWER_ID = 0x3f1;
/** docs/CANBUS_protocol.md, "CMD_QUERY_UNASSIGNED message". A node that has an id does not answer it. */
const QUERY_UNASSIGNED = 0x00;
/** docs/CANBUS_protocol.md, "RESP_NEED_NODEID message": this byte, then the uuid. */
const NEED_NODEID = 0x20;
const UUID_BYTES = 6;
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
