// octopus.canbus_query
import { askUnassigned, type Answers } from '../flash/canbus-query.ts';
import { refuseWhileWorking } from '../flash/gate.ts';
import type { Kit } from '../flash/kit.ts';
import type { PrinterCanNode } from '../ports/printer.ts';
import type { CanApplication } from '../protocol/klipper-can.ts';
import { defineMethod } from './method.ts';
import { text, type Parameter } from './parameters.ts';

/**
 * What Linux takes for a name (net/core/dev.c, dev_valid_name): IFNAMSIZ is 16 with the final zero, no slash, colon
 * or space. Of the rest only what can be printed: the name stands in messages for Klipper's console.
 */
const INTERFACE_NAME = /^(?!\.{1,2}$)[!-.0-9;-~]{1,15}$/;

const plainText = text('the CAN interface, as `ip link` lists it (default: can0)', 'NAME');
const interfaceName: Parameter<string> = {
  ...plainText,
  fallback: 'can0',
  allowed: 'the name of a network interface: 1 to 15 characters, no slash, colon or space',
  parse: (given) => {
    const name = plainText.parse(given);
    if (!INTERFACE_NAME.test(name)) throw new TypeError('no name of an interface');
    return name;
  },
};

export interface CanNodeAnswer {
  readonly uuid: string;
  readonly application: CanApplication;
  /** Its section of printer.cfg. */
  readonly name: string | null;
  readonly version: string | null;
  /** It did not answer and is known through printer.cfg: Klipper has given it an id, or it is not there. */
  readonly assigned: boolean;
}

export const canbusQuery = defineMethod({
  name: 'octopus.canbus_query',
  summary: 'who is on a CAN bus: nodes without an id by asking them, the others from printer.cfg',
  needs: 'board',
  parameters: { interface: interfaceName },
  async run({ kit }, values, _report, signal) {
    const { state, known } = await askPrinter(kit, values.interface);
    const answers = await askUnassigned(kit, values.interface, signal);
    const nodes = merge(answers, known);
    return { interface: values.interface, nodes, notes: notesOf(values.interface, state, answers, nodes) };
  },
});

async function askPrinter({ printer }: Pick<Kit, 'printer'>, name: string) {
  const reading = await printer.read();
  refuseWhileWorking(reading, 'the query can disturb the CAN bus');
  // Without a printer there is no printer.cfg.
  const all = reading.state === 'absent' ? [] : await printer.canNodes();
  return { state: reading.state, known: all.filter((node) => node.interfaceName === name) };
}

function merge({ nodes }: Answers, known: readonly PrinterCanNode[]): CanNodeAnswer[] {
  const answered = nodes.map(({ uuid, application }) => {
    const owner = known.find((node) => node.uuid === uuid);
    // The version is that of the Klipper which Klipper's host has identified.
    const version = application === 'klipper' ? (owner?.version ?? null) : null;
    return { uuid, application, name: owner?.section ?? null, version, assigned: false };
  });
  const silent = known
    .filter(({ uuid }) => !nodes.some((node) => node.uuid === uuid))
    .map(({ uuid, section, version }) => {
      const application: CanApplication = version === null ? 'unknown' : 'klipper';
      return { uuid, application, name: section, version, assigned: true };
    });
  return [...answered, ...silent].sort(
    (a, b) => compare(a.uuid, b.uuid) || compare(a.application, b.application),
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function notesOf(
  name: string,
  state: string,
  { nodes, malformed, troubles }: Answers,
  merged: readonly CanNodeAnswer[],
): string[] {
  const notes: string[] = [];
  for (const uuid of new Set(nodes.map((node) => node.uuid))) {
    const times = nodes.filter((node) => node.uuid === uuid).reduce((sum, node) => sum + node.times, 0);
    if (times > 1)
      notes.push(`${uuid} answered ${times} times: two nodes have this uuid, or one repeats itself.`);
  }
  for (const node of merged.filter(({ assigned, version }) => assigned && version === null)) {
    notes.push(
      `${node.uuid} [${node.name}] did not answer and Klipper has not identified it: no power, another bitrate, a ` +
        'broken wire, or it still has the id of an earlier connection.',
    );
  }
  if (malformed > 0) notes.push(`${malformed} frames looked like answers and were none; they were ignored.`);
  if (troubles.has('no-acknowledge'))
    notes.push(
      `${name}: a frame was not acknowledged: nobody else was on the bus then, or nobody has its bitrate.`,
    );
  if (troubles.has('disturbed') && !troubles.has('bus-off'))
    notes.push(`${name}: frames were destroyed: look at the wires, their termination and the bitrates.`);
  if (troubles.has('bus-off'))
    notes.push(
      `${name} went bus-off, so this list is not whole: a node with another bitrate, or a short. ` +
        `Cure it, then: sudo ip link set ${name} down, and up again.`,
    );
  if (state !== 'ready' && state !== 'absent')
    notes.push(`Klipper is in state "${state}": nodes that have an id, names and versions may be missing.`);
  return notes;
}
