// A node's Katapult over CAN: from whatever runs there to an open channel.
import { OctopusError } from '../errors.ts';
import type { ByteChannel } from '../ports/bytes.ts';
import { clearKatapultNodeIds, requestBootloader, setKatapultNodeId } from '../protocol/klipper-can.ts';
import { ANSWER_MS, CanAdmin } from './can-admin.ts';
import { openCanChannel } from './can-channel.ts';
import type { Kit } from './kit.ts';
import type { CanPlace } from './place.ts';

/**
 * What flashtool.py takes (0x202 and 0x203). klippy counts from 4 up, one for each `canbus_uuid`
 * (klippy/extras/canbus_ids.py): no printer has so many. A Katapult that was left with this id loses it to the new owner.
 */
const KATAPULT_NODE_ID = 0x81;
/** The request resets the chip at once; Katapult is there within some ten milliseconds. The rest is patience. */
const ENTER_FOR_MS = 10_000;
/** A request may be lost: it is sent again this often. */
const REQUEST_EVERY_MS = 1_000;
/** It would have left Klipper by now. */
const STAYS_AFTER_MS = 3_000;

/**
 * Brings the node into Katapult and gives it an id. Klipper's host must not be talking to it. One such walk at a time on a
 * bus: the id is always the same, and a node that has one is silent until all ids are cleared.
 * @param forMs how long it may take to come
 * @returns the node's bytes; closing the channel closes the bus. Whether its application ran until it was asked
 * Throws `no-hardware`, `no-device` (nobody answers, or nothing can be sent), `wrong-device` (Klipper stays),
 * `two-boards-alike`, `device-gone`; an AbortError when cancelled.
 */
export async function enterKatapultOnCan(
  kit: Pick<Kit, 'can' | 'clock'>,
  address: CanPlace,
  signal?: AbortSignal,
  forMs = ENTER_FOR_MS,
): Promise<{ readonly channel: ByteChannel; readonly ranBefore: boolean }> {
  const bus = await kit.can.open(address.interfaceName);
  try {
    const node = new CanAdmin(kit, bus, address, signal);
    let ranBefore = false;
    if ((await node.askAlone(2 * ANSWER_MS)) !== 'katapult') {
      ranBefore = await leaveKlipper(kit, node, forMs);
      // Once more and alone: a second node shows itself only now. Late answers to earlier questions are out of the way then.
      await node.pause(ANSWER_MS);
      await node.askAlone(ANSWER_MS);
    }
    // Twice: nobody answers it, one may be lost, and the second changes nothing.
    for (let n = 0; n < 2; n++) await node.send(setKatapultNodeId(address.uuid, KATAPULT_NODE_ID));
    node.stop();
    return { channel: openCanChannel(kit, bus, KATAPULT_NODE_ID, address.interfaceName), ranBefore };
  } catch (error) {
    await bus.close();
    throw error;
  }
}

/**
 * Ends when the node answers as Katapult. A Klipper with an id says nothing, but hears the request all the same.
 * @returns whether it was a Klipper: a Katapult that had kept an id is none
 */
async function leaveKlipper({ clock }: Pick<Kit, 'clock'>, node: CanAdmin, forMs: number): Promise<boolean> {
  const began = clock.now();
  let askedAt = -Infinity;
  let isCleared = false;
  let klipperAt: number | undefined;
  for (;;) {
    const now = clock.now();
    if (now - askedAt >= REQUEST_EVERY_MS) {
      // A Katapult that kept the id of a session that was broken off is silent too, and ignores the request.
      if (askedAt > -Infinity && klipperAt === undefined && !isCleared) {
        await node.send(clearKatapultNodeIds());
        isCleared = true;
      }
      await node.send(requestBootloader(node.address.uuid));
      askedAt = now;
    }
    const application = await node.ask(ANSWER_MS);
    if (application === 'katapult') return klipperAt !== undefined || !isCleared;
    if (application !== undefined) klipperAt = clock.now();
    if (klipperAt !== undefined && klipperAt - began >= STAYS_AFTER_MS) throw staysKlipper(node.address);
    if (clock.now() - began >= forMs) throw nobody(node.address);
    // It has answered, as what it was before: the next question comes when it can have changed.
    if (application !== undefined) await node.pause(ANSWER_MS);
  }
}

function staysKlipper({ interfaceName, uuid }: CanPlace): OctopusError {
  return new OctopusError(
    'wrong-device',
    `the node ${uuid} on ${interfaceName} does not start a bootloader`,
    {
      place: `CAN node ${uuid}`,
      advice:
        'It runs Klipper and has no Katapult below it: install Katapult over USB in DFU mode first (BOOT button held while its power or reset comes).',
    },
  );
}

function nobody({ interfaceName, uuid }: CanPlace): OctopusError {
  return new OctopusError('no-device', `no node ${uuid} answers on ${interfaceName}`, {
    place: `CAN node ${uuid}`,
    advice:
      'Look at its power and wires, at the bitrate, and at canbus_uuid; octopus canbus-query shows who is there. A node without Katapult, or without firmware, must be flashed over USB in DFU mode.',
  });
}
