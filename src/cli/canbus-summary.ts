// Command line: who is on a CAN bus, as a table, and the lines that printer.cfg wants.
import type { AnswerOf, METHODS } from '../methods/table.ts';

type Answer = AnswerOf<typeof METHODS.canbusQuery>;
type Cells = readonly string[];

/** What Klipper takes where `canbus_interface` is not given (klippy/mcu.py). */
const DEFAULT_INTERFACE = 'can0';

export function canbusSummary(answer: Answer): readonly string[] {
  const { nodes, usb, notes } = answer;
  const nameless = nodes.filter(({ name }) => name === null);
  return [
    nodes.length === 0
      ? `Nobody on ${answer.interface} answered.`
      : `${nodes.length} ${nodes.length === 1 ? 'node' : 'nodes'} on ${answer.interface}:`,
    ...table(
      ['uuid', 'application', 'name', 'version', ''],
      nodes.map((node) => [
        node.uuid,
        node.application,
        node.name === null ? '-' : `[${node.name}]`,
        node.version ?? '-',
        node.bridge ? `the bridge, on USB ${node.busPath ?? '?'}` : node.assigned ? 'did not answer' : '',
      ]),
    ),
    ...(nameless.length === 0 ? [] : ['In no section of printer.cfg yet:']),
    ...nameless.flatMap((node) => printerCfgLines(node, answer.interface)),
    ...(usb.length === 0 ? [] : ['Not on this bus but on USB; as a CAN node each has this uuid:']),
    ...table(
      ['uuid', 'application', 'USB', 'chip'],
      usb.map((board) => [
        board.uuid,
        board.bridge ? 'klipper (a bridge)' : board.application,
        board.busPath,
        board.mcu ?? '-',
      ]),
    ),
    ...notes.map((note) => `  ${note}`),
  ];
}

function printerCfgLines({ uuid, application }: Answer['nodes'][number], name: string): readonly string[] {
  const line = `  canbus_uuid: ${uuid}${application === 'katapult' ? '   # Katapult: flash Klipper first' : ''}`;
  return name === DEFAULT_INTERFACE ? [line] : [line, `  canbus_interface: ${name}`];
}

/** Columns under their heads, nothing where there are no rows. */
function table(head: Cells, body: readonly Cells[]): readonly string[] {
  if (body.length === 0) return [];
  const widths = head.map((_, column) => Math.max(...[head, ...body].map((row) => row[column]?.length ?? 0)));
  return [head, ...body].map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
}
