// A CAN frame into a queue that may be full: waits until it is taken.
import { OctopusError } from '../errors.ts';
import type { CanBus, CanFrame } from '../ports/can.ts';
import type { Kit } from './kit.ts';

/** A queue that is full now has room when the frame on the wire is done, 0.16 ms at 1 Mbit/s. */
const SEND_RETRY_MS = 20;
const SEND_TRIES = 10;

/** Throws `no-device` when the queue stays full, and what the bus throws. */
export async function sendPatiently(
  { clock }: Pick<Kit, 'clock'>,
  bus: CanBus,
  frame: CanFrame,
  interfaceName: string,
  signal?: AbortSignal,
): Promise<void> {
  for (let attempt = 1; (await bus.send(frame)) === 'full'; attempt++) {
    if (attempt === SEND_TRIES) throw queueFull(interfaceName);
    await clock.sleep(SEND_RETRY_MS, signal);
  }
}

export function queueFull(interfaceName: string): OctopusError {
  return new OctopusError('no-device', `the transmit queue of ${interfaceName} stays full`, {
    place: interfaceName,
    advice:
      'Nobody on the bus acknowledges: look at the wires, the two terminating resistors, the power of the nodes and ' +
      `the bitrate, then set the interface down and up again (sudo ip link set ${interfaceName} down).`,
  });
}
