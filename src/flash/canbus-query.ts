// Who is on a CAN bus and has no id yet? Asks once, and listens as long as Klipper's own tool does.
import { OctopusError } from '../errors.ts';
import { queryUnassigned, readAnswer, type NodeAnswer } from '../protocol/klipper-can.ts';
import type { CanBus, CanFrame, CanTrouble } from '../ports/can.ts';
import type { Kit } from './kit.ts';

/** Klipper scripts/canbus_query.py. The time is always used up: a late node says nothing before it answers. */
const LISTEN_MS = 2000;
/** A queue that is full now has room when the frame on the wire is done, 0.16 ms at 1 Mbit/s. */
const SEND_RETRY_MS = 20;
const SEND_TRIES = 10;

export interface Answers {
  /** Each node once, in the order of the first answers. */
  readonly nodes: readonly (NodeAnswer & { readonly times: number })[];
  /** Frames on the answers' identifier that are none. */
  readonly malformed: number;
  readonly troubles: ReadonlySet<CanTrouble>;
}

/** Throws `no-hardware`, `no-device` when the query cannot be sent, `device-gone` when the interface goes. */
export async function askUnassigned(
  kit: Pick<Kit, 'can' | 'clock'>,
  interfaceName: string,
  signal?: AbortSignal,
): Promise<Answers> {
  const nodes = new Map<string, NodeAnswer & { times: number }>();
  const troubles = new Set<CanTrouble>();
  let malformed = 0;
  const hear = (frame: CanFrame): void => {
    const answer = readAnswer(frame);
    if (answer === 'malformed') malformed += 1;
    if (typeof answer === 'string') return;
    const key = `${answer.uuid} ${answer.application}`;
    nodes.set(key, { ...answer, times: (nodes.get(key)?.times ?? 0) + 1 });
  };
  const bus = await kit.can.open(interfaceName);
  const gone = new AbortController();
  try {
    bus.onFrame(hear);
    bus.onTrouble((trouble) => {
      troubles.add(trouble);
      if (trouble === 'gone' || trouble === 'down') gone.abort();
    });
    await sendQuery(kit, bus, interfaceName, signal);
    const ends = signal === undefined ? gone.signal : AbortSignal.any([gone.signal, signal]);
    await kit.clock.sleep(LISTEN_MS, ends).catch((error: unknown) => {
      if (!gone.signal.aborted) throw error;
    });
  } finally {
    await bus.close();
  }
  if (gone.signal.aborted) throw interfaceLeft(interfaceName);
  return { nodes: [...nodes.values()], malformed, troubles };
}

async function sendQuery(
  { clock }: Pick<Kit, 'clock'>,
  bus: CanBus,
  interfaceName: string,
  signal?: AbortSignal,
): Promise<void> {
  for (let attempt = 1; (await bus.send(queryUnassigned())) === 'full'; attempt++) {
    if (attempt === SEND_TRIES) throw queueFull(interfaceName);
    await clock.sleep(SEND_RETRY_MS, signal);
  }
}

function queueFull(interfaceName: string): OctopusError {
  return new OctopusError('no-device', `the transmit queue of ${interfaceName} stays full`, {
    place: interfaceName,
    advice:
      'Nobody on the bus acknowledges: look at the wires, the two terminating resistors, the power of the nodes and ' +
      `the bitrate, then set the interface down and up again (sudo ip link set ${interfaceName} down).`,
  });
}

function interfaceLeft(interfaceName: string): OctopusError {
  return new OctopusError('device-gone', `${interfaceName} went away during the query`, {
    place: interfaceName,
    advice:
      'A bridge takes its interface with it when it is reset: look at its power and cable, then ask again.',
  });
}
