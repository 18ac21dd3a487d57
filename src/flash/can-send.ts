// Sends one CAN frame for certain into the queue of the interface, or says why it cannot.
import { OctopusError } from '../errors.ts';
import type { CanBus, CanFrame } from '../ports/can.ts';
import type { Kit } from './kit.ts';

/** The longest classic frame on a bus of 1 Mbit/s, stuffed: then a full queue has room for one more. */
const FRAME_MS = 0.135;
/** No growing wait is longer: the slowest bus that Klipper builds for has 125 kbit/s. */
const LONGEST_WAIT_MS = 20;
/** A queue of 128 frames at 125 kbit/s is empty after 140 ms, beside a bus that others fill up. */
const FULL_FOR_MS = 1_000;

/**
 * Sends the same frame until it is taken: one that is left out makes a receiver of a byte stream lose its place.
 * Throws `no-device` when the queue stays full for a second, `device-gone` when the interface is gone or down.
 */
export async function sendFrame(
  { clock }: Pick<Kit, 'clock'>,
  bus: CanBus,
  frame: CanFrame,
  interfaceName: string,
  signal?: AbortSignal,
): Promise<void> {
  const until = clock.now() + FULL_FOR_MS;
  for (let waitMs = FRAME_MS; ; waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)) {
    const said = await bus.send(frame).catch((error: unknown) => {
      throw isLost(error) ? interfaceLeft(interfaceName, error) : error;
    });
    if (said === 'queued') return;
    if (clock.now() >= until) throw queueFull(interfaceName);
    await clock.sleep(waitMs, signal);
  }
}

function isLost(error: unknown): boolean {
  return error instanceof OctopusError && error.code === 'no-device';
}

export function interfaceLeft(name: string, cause?: unknown): OctopusError {
  return new OctopusError('device-gone', `${name} went away`, {
    place: name,
    advice:
      'A bridge takes its interface with it when it is reset: look at its power and cable, then try again.',
    cause,
  });
}

function queueFull(name: string): OctopusError {
  return new OctopusError('no-device', `the transmit queue of ${name} stays full`, {
    place: name,
    advice:
      'Nobody on the bus acknowledges: look at the wires, the two terminating resistors, the power of the nodes and ' +
      `the bitrate, then set the interface down and up again (sudo ip link set ${name} down).`,
  });
}

export function busOff(name: string): OctopusError {
  return new OctopusError('no-device', `${name} has left the bus after too many errors (bus-off)`, {
    place: name,
    advice:
      'Look at the wires, the two terminating resistors and the bitrate of all nodes, then set the interface down and up ' +
      `again (sudo ip link set ${name} down; sudo ip link set ${name} up type can bitrate 1000000).`,
  });
}
