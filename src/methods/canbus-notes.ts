// octopus.canbus_query: what is amiss on the bus, each with what to do.
import type { Census } from '../flash/bus-census.ts';
import type { Answers } from '../flash/canbus-query.ts';
import type { KlipperState, PrinterCanNode } from '../ports/printer.ts';

/** @param known what printer.cfg has on this interface */
export function busNotes(
  interfaceName: string,
  state: KlipperState,
  answers: Answers,
  known: readonly PrinterCanNode[],
  census: Census,
): readonly string[] {
  return [
    ...doubleNotes(answers, known),
    ...missingNotes(census),
    ...wireNotes(interfaceName, answers, census.nodes.length),
    ...(census.mayCarry.length === 0
      ? []
      : [
          `Several on USB can be what carries ${interfaceName} (${census.mayCarry.join(', ')}), and nothing says which: ` +
            'none is listed as a node of this bus.',
        ]),
    ...(state === 'ready' || state === 'absent'
      ? []
      : [`Klipper is in state "${state}": nodes that have an id, names and versions may be missing.`]),
  ];
}

function doubleNotes({ nodes, queries }: Answers, known: readonly PrinterCanNode[]): readonly string[] {
  const notes: string[] = [];
  for (const uuid of new Set(nodes.map((node) => node.uuid))) {
    const same = nodes.filter((node) => node.uuid === uuid);
    const times = same.reduce((sum, node) => sum + node.times, 0);
    // Another program's query is answered as well.
    if (same.length === 1 && times <= Math.max(1, queries)) continue;
    const as = same.length === 1 ? '' : ` as ${same.map(({ application }) => application).join(' and ')}`;
    notes.push(
      `${uuid} answered ${times} times${as}: two nodes have this uuid, or one repeats itself. Klipper can use only ` +
        'one of two: unplug one and ask again; a chip that is a copy can have the id of another.',
    );
  }
  for (const uuid of new Set(known.map((node) => node.uuid))) {
    const sections = known.filter((node) => node.uuid === uuid).map(({ section }) => `[${section}]`);
    if (sections.length > 1)
      notes.push(`${uuid} stands in ${sections.join(' and ')} of printer.cfg: each node has its own.`);
  }
  return notes;
}

function missingNotes({ nodes, usb }: Census): readonly string[] {
  const missing = nodes.filter(
    ({ assigned, bridge, name, version }) => assigned && !bridge && name !== null && version === null,
  );
  const strangers = nodes.filter(({ assigned, bridge, name }) => !assigned && !bridge && name === null);
  return missing.map((node) => {
    const silent = `${node.uuid} [${node.name}] did not answer and Klipper has not identified it: `;
    const elsewhere = usb.find((board) => board.uuid === node.uuid);
    if (elsewhere !== undefined)
      return `${silent}it is on USB ${elsewhere.busPath} as ${elsewhere.application}, not on CAN.`;
    if (strangers.length === 0)
      return `${silent}no power, another bitrate, a broken wire, or it still has the id of an earlier connection.`;
    const list = strangers.map(({ uuid }) => uuid).join(', ');
    const one = strangers.length === 1 && missing.length === 1;
    return (
      `${silent}${list} answered instead and ${strangers.length === 1 ? 'is' : 'are'} in no section. If the board was ` +
      `replaced: ${one ? `canbus_uuid: ${list}` : 'the new uuid'} into [${node.name}].`
    );
  });
}

function wireNotes(name: string, answers: Answers, found: number): readonly string[] {
  const { malformed, nodes, queries, troubles } = answers;
  const notes: string[] = [];
  if (malformed > 0) notes.push(`${malformed} frames looked like answers and were none; they were ignored.`);
  const wasHeard = queries > 0 || nodes.length > 0;
  if (troubles.has('bus-off'))
    notes.push(
      `${name} went bus-off, so this list is not whole: a node with another bitrate, or a short. ` +
        `Cure it, then: sudo ip link set ${name} down, and up again.`,
    );
  else if (!wasHeard)
    notes.push(
      `${name}: the query was not acknowledged: nobody else was on the bus, or nobody has its bitrate. Look at the ` +
        'power of the nodes, the wires, the two terminating resistors, and the bitrate in their firmware.',
    );
  else if (troubles.has('no-acknowledge'))
    notes.push(
      `${name}: a frame was not acknowledged: nobody else was on the bus then, or nobody has its bitrate.`,
    );
  else if (found === 0 && malformed === 0)
    notes.push(
      'No node: one that Klipper has given an id keeps silent until it is reset, and printer.cfg names none. Else look ' +
        'at its power and wires, and whether its firmware has the bitrate of this bus.',
    );
  if (troubles.has('disturbed') && !troubles.has('bus-off'))
    notes.push(`${name}: frames were destroyed: look at the wires, their termination and the bitrates.`);
  return notes;
}
