// Who is on a CAN bus, from three sources: answers to the query, printer.cfg, and what is on USB of this host.
import type { CanApplication } from '../protocol/klipper-can.ts';
import type { PrinterCanNode } from '../ports/printer.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import type { Answers } from './canbus-query.ts';
import { chipIdOf, uuidOfChipId } from './identity-card.ts';
import { usbKind } from './watch-usb.ts';

export interface BusNode {
  readonly uuid: string;
  readonly application: CanApplication;
  /** Its section of printer.cfg. */
  readonly name: string | null;
  /**
   * Of the Klipper that Klipper's host has identified. A node without an id tells none: it would have to be given one,
   * and that changes the bus.
   */
  readonly version: string | null;
  /** It did not answer: it has an id, or it is not there and known from printer.cfg only. */
  readonly assigned: boolean;
  /** It carries this interface. */
  readonly bridge: boolean;
  readonly transport: 'can' | 'usb bridge';
  /** Of the bridge. */
  readonly busPath: string | null;
}

/** A board of Klipper's or Katapult's that this host has on USB, and that is not on this bus. */
export interface UsbBoard {
  readonly busPath: string;
  /** Its chip, as it says. */
  readonly mcu: string | null;
  readonly application: 'klipper' | 'katapult';
  readonly bridge: boolean;
  /** What it has, or will have, on a CAN bus. */
  readonly uuid: string;
}

export interface Census {
  readonly nodes: readonly BusNode[];
  readonly usb: readonly UsbBoard[];
  /** Bus paths of several that may carry the interface, where nothing says which does. */
  readonly mayCarry: readonly string[];
}

/** @param known all that printer.cfg has on CAN buses, those of other interfaces too */
export function takeCensus(
  interfaceName: string,
  answers: Pick<Answers, 'nodes'>,
  known: readonly PrinterCanNode[],
  devices: readonly UsbDeviceInfo[],
): Census {
  const boards = devices.flatMap(boardOf);
  const here = known.filter((node) => node.interfaceName === interfaceName);
  const candidates = mayCarry(interfaceName, answers, known, devices);
  const carrier = boards.find(({ busPath }) => candidates.length === 1 && busPath === candidates[0]);
  const nodes = [...answered(answers, here), ...silent(answers, here)];
  if (carrier !== undefined && !nodes.some((node) => isBoard(node, carrier)))
    nodes.push({ uuid: carrier.uuid, application: 'klipper', name: null, version: null, assigned: true });
  return {
    nodes: nodes
      .map((node) => busNode(node, carrier))
      .sort((a, b) => compare(a.uuid, b.uuid) || compare(a.application, b.application)),
    usb: boards.filter((board) => board !== carrier),
    mayCarry: candidates.length > 1 ? candidates : [],
  };
}

type Known = Omit<BusNode, 'bridge' | 'transport' | 'busPath'>;

function busNode(node: Known, carrier: UsbBoard | undefined): BusNode {
  if (carrier === undefined || !isBoard(node, carrier))
    return { ...node, bridge: false, transport: 'can', busPath: null };
  return {
    ...node,
    application: 'klipper',
    bridge: true,
    transport: 'usb bridge',
    busPath: carrier.busPath,
  };
}

/** A node that answers as Katapult is no bridge, whatever its uuid: bridges are Klipper. */
function isBoard({ uuid, application }: Known, board: UsbBoard): boolean {
  return uuid === board.uuid && application !== 'katapult';
}

function answered({ nodes }: Pick<Answers, 'nodes'>, here: readonly PrinterCanNode[]): Known[] {
  return nodes.map(({ uuid, application }) => {
    const owner = here.find((node) => node.uuid === uuid);
    const version = application === 'klipper' ? (owner?.version ?? null) : null;
    return { uuid, application, name: owner?.section ?? null, version, assigned: false };
  });
}

function silent({ nodes }: Pick<Answers, 'nodes'>, here: readonly PrinterCanNode[]): Known[] {
  return here
    .filter(({ uuid }) => !nodes.some((node) => node.uuid === uuid))
    .map(({ uuid, section, version }) => {
      const application: CanApplication = version === null ? 'unknown' : 'klipper';
      return { uuid, application, name: section, version, assigned: true };
    });
}

/**
 * Bus paths of what may carry the interface: one where anything proves it. Which USB device an interface belongs to is
 * told by nobody here. A bridge answers only its own host's interface, and what printer.cfg says of one holds; without
 * either it is the only device that can be it, or one of several.
 */
function mayCarry(
  interfaceName: string,
  { nodes }: Pick<Answers, 'nodes'>,
  known: readonly PrinterCanNode[],
  devices: readonly UsbDeviceInfo[],
): readonly string[] {
  const bridges = devices
    .filter((device) => usbKind(device) === 'klipperBridge')
    .map((device) => ({ busPath: device.busPath, uuid: boardOf(device)[0]?.uuid }));
  const proven =
    bridges.find(({ uuid }) => nodes.some((node) => node.uuid === uuid && node.application === 'klipper')) ??
    bridges.find(({ uuid }) =>
      known.some((node) => node.uuid === uuid && node.interfaceName === interfaceName),
    );
  const possible = bridges.filter(({ uuid }) => !known.some((node) => node.uuid === uuid));
  return (proven === undefined ? possible : [proven]).map(({ busPath }) => busPath);
}

function boardOf(device: UsbDeviceInfo): readonly UsbBoard[] {
  const chipId = chipIdOf(device);
  if (chipId === undefined) return [];
  const kind = usbKind(device);
  return [
    {
      busPath: device.busPath,
      mcu: device.product ?? null,
      application: kind === 'katapult' ? 'katapult' : 'klipper',
      bridge: kind === 'klipperBridge',
      uuid: uuidOfChipId(chipId),
    },
  ];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
