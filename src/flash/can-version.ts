// Which Klipper runs on a CAN node? Gives the node an id of ours and asks for its data dictionary.
import { asOctopusError, OctopusError } from '../errors.ts';
import { readDictionary } from '../firmware/dictionary.ts';
import type { ByteChannel } from '../ports/bytes.ts';
import type { CanBus } from '../ports/can.ts';
import { dataIds, setKlipperNodeId } from '../protocol/klipper-can.ts';
import { encodeBlock, identify, SYNC, type SerialRequest } from '../protocol/klipper-identify.ts';
import { ANSWER_MS, CanAdmin } from './can-admin.ts';
import { openCanChannel } from './can-channel.ts';
import { sendFrame } from './can-send.ts';
import { converse } from './converse.ts';
import type { Kit } from './kit.ts';
import type { CanPlace } from './place.ts';

/**
 * klippy counts from 4 up (klippy/extras/canbus_ids.py) and does not come this far. When it starts it gives the node an id
 * of its own, which works although ours is there: Klipper src/generic/canserial.c, can_process_set_klipper_nodeid,
 * compares the uuid only.
 */
const HIGHEST_NODE_ID = 127;
/** Nodes that we have asked before keep our ids until they are reset or klippy takes them. */
const IDS_TRIED = 32;
/** Each time is 2.5 s of questions: longer than a node needs from Katapult to Klipper. */
const TRIES = 2;

/**
 * Klipper's host must be stopped: it would lose the node. Nothing else changes on the node.
 * Throws `no-hardware`, `no-device` (nobody answers), `wrong-device` (it is in Katapult, or its dictionary cannot be
 * read), `device-gone`; an AbortError when cancelled.
 */
export async function askVersionOnCan(
  kit: Pick<Kit, 'can' | 'clock'>,
  address: CanPlace,
  signal?: AbortSignal,
): Promise<string> {
  const bus = await kit.can.open(address.interfaceName);
  try {
    const node = new CanAdmin(kit, bus, address, signal);
    const nodeId = await freeNodeId(kit, bus, address, signal);
    const channel = openCanChannel(kit, bus, nodeId, address.interfaceName);
    for (let attempt = 1; ; attempt++) {
      if ((await node.ask(ANSWER_MS)) === 'katapult') throw inKatapult(address);
      const compressed = await converse(identify(), performer(node, channel, nodeId), signal).catch(
        (error: unknown) => {
          if (asOctopusError(error).code !== 'wrong-device') throw error;
          if (attempt === TRIES) throw silent(address, error);
        },
      );
      if (compressed !== undefined) return versionIn(compressed, address);
    }
  } finally {
    await bus.close();
  }
}

/**
 * An id that no node listens to: to give it a second time would shut the first one down ("Another CAN node assigned this
 * ID"). A Klipper answers every block, an empty one too (docs/Protocol.md, "Message Blocks").
 */
async function freeNodeId(
  kit: Pick<Kit, 'clock'>,
  bus: CanBus,
  { interfaceName }: CanPlace,
  signal?: AbortSignal,
): Promise<number> {
  for (let nodeId = HIGHEST_NODE_ID; nodeId > HIGHEST_NODE_ID - IDS_TRIED; nodeId--) {
    const { toNode, toHost } = dataIds(nodeId);
    const answered = new AbortController();
    const unsubscribe = bus.onFrame(({ id }) => {
      if (id === toHost) answered.abort();
    });
    try {
      const block = Uint8Array.of(SYNC, ...encodeBlock(0, new Uint8Array(0)));
      await sendFrame(kit, bus, { id: toNode, data: block }, interfaceName, signal);
      const either = signal === undefined ? answered.signal : AbortSignal.any([answered.signal, signal]);
      await kit.clock.sleep(ANSWER_MS, either).catch(() => {});
    } finally {
      unsubscribe();
    }
    signal?.throwIfAborted();
    if (!answered.signal.aborted) return nodeId;
  }
  throw new OctopusError('no-device', `no id is free on ${interfaceName}`, {
    place: interfaceName,
    advice: 'Switch the power of the printer off and on: its nodes forget their ids then.',
  });
}

/** A node that was reset has forgotten its id: it gets it again before each question that follows a silence. */
function performer(node: CanAdmin, channel: ByteChannel, nodeId: number) {
  let isSilent = true;
  return async (request: SerialRequest): Promise<Uint8Array | 'ok' | undefined> => {
    if (request.kind === 'read') {
      const bytes = await channel.read(request.timeoutMs);
      isSilent = bytes === undefined;
      return bytes;
    }
    if (isSilent) await node.send(setKlipperNodeId(node.address.uuid, nodeId));
    isSilent = false;
    await channel.write(request.bytes);
    return 'ok';
  };
}

function versionIn(compressed: Uint8Array, { interfaceName, uuid }: CanPlace): string {
  const version = readDictionary(compressed)?.version;
  if (typeof version === 'string') return version;
  throw new OctopusError(
    'wrong-device',
    `the node ${uuid} on ${interfaceName} sent a data dictionary that cannot be read`,
    { place: `CAN node ${uuid}`, advice: 'Flash again; if it stays, the image itself is damaged.' },
  );
}

function inKatapult({ interfaceName, uuid }: CanPlace): OctopusError {
  return new OctopusError(
    'wrong-device',
    `the node ${uuid} on ${interfaceName} is in Katapult, not in Klipper`,
    {
      place: `CAN node ${uuid}`,
      advice: 'It has no application that Katapult would start, or it was asked to stay: flash it.',
    },
  );
}

function silent({ interfaceName, uuid }: CanPlace, cause: unknown): OctopusError {
  return new OctopusError('no-device', `no Klipper answers as ${uuid} on ${interfaceName}`, {
    place: `CAN node ${uuid}`,
    advice:
      'Look at its power and wires, and at the bitrate that its firmware was built for; octopus canbus-query shows who is there. If it was flashed just now, flash again or restore its backup.',
    cause,
  });
}
