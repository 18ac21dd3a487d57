// The rows of the matrix: a way of flashing and a board, met before, with an image as short as it gets.
import { boardByName } from '../../src/boards/boards.ts';
import type { BoardPlace } from '../../src/flash/place.ts';
import { takeBackup } from '../../src/flash/take-backup.ts';
import { canUuid } from '../../src/protocol/uuid.ts';
import { createBench, type BenchOptions, type VirtualBench } from '../../src/virtual/bench.ts';
import { uidBytes } from '../../src/virtual/board-data.ts';
import { forgeKlipper } from '../../src/virtual/forge.ts';
import { PINS } from '../support/bench.ts';

export const NEW = 'v0.13.0-9';
export const OLD = 'v0.12.0-85-gd785b396';

/** What a trial sees of the chip that is flashed. */
export interface Chip {
  readonly flash: { peek(address: number, length: number): Uint8Array };
  /** The version of the Klipper that can be reached on it now. */
  readonly version: string | undefined;
  powerCut(): void;
  powerOn(): void;
  pressReset(): Promise<void>;
  /** Its owner presses its button twice within half a second, for Katapult. */
  pressTwice(): Promise<void>;
}

export interface World {
  readonly bench: VirtualBench;
  readonly place: BoardPlace;
  readonly image: Uint8Array;
  readonly chip: Chip;
  /** The cable that the flash goes through. */
  unplug(): void;
  replug(): void;
}

export interface Way {
  readonly name: string;
  open(): Promise<World>;
}

type Wire = 'usb' | 'can';

interface Row {
  readonly bench: BenchOptions;
  readonly model: string;
  readonly wire: Wire;
  readonly isToolhead?: true;
  /** Undefined: as builds are. Compact ones are for wires on which each 64 bytes are a message of their own. */
  readonly compactBytes?: number;
}

const F446 = 'octopus-v1.1-f446';
const H723 = 'octopus-pro-h723';
const EBB = 'btt-ebb36-v1.2';
/** The H7's repair of a spoilt write has its own test; here it would only be the same transfers three times. */
const CALM_ROM = { readBeforeWrite: 'off' } as const;
/** Into the second sector of an F4, so that the order of the sectors matters. */
const TWO_SECTORS = 17 * 1024;
const SMALL = 6 * 1024;
/** An SD card, on a good day: what is not awaited is not there yet when the power goes. */
const FLUSH_MS = 5;
const onCan = { state: 'can-node', can: { nodes: [{ nodeId: 9 }] } } as const;

const ROWS: Readonly<Record<string, Row>> = {
  'dfuse f446': { bench: {}, model: F446, wire: 'usb' },
  'dfuse h723': { bench: { rom: CALM_ROM }, model: H723, wire: 'usb', compactBytes: SMALL },
  'katapult f446': { bench: { state: 'katapult' }, model: F446, wire: 'usb', compactBytes: TWO_SECTORS },
  'katapult h723': {
    bench: { state: 'katapult', rom: CALM_ROM },
    model: H723,
    wire: 'usb',
    compactBytes: SMALL,
  },
  'can f446': { bench: onCan, model: F446, wire: 'can', compactBytes: TWO_SECTORS },
  'can h723': { bench: { ...onCan, rom: CALM_ROM }, model: H723, wire: 'can', compactBytes: SMALL },
  'can ebb36': {
    bench: { can: { nodes: [{}, { nodeId: 9 }] } },
    model: EBB,
    wire: 'can',
    isToolhead: true,
    compactBytes: SMALL,
  },
};

export const WAYS: readonly Way[] = Object.entries(ROWS).map(([name, row]) => ({
  name,
  open: async () => worldOf(row, await keptStore(name, row)),
}));

export function wayByName(name: string): Way {
  const way = WAYS.find((one) => one.name === name);
  if (way === undefined) throw noWay(name);
  return way;
}

function noWay(name: string): Error {
  return new Error(`there is no way "${name}": ${Object.keys(ROWS).join(', ')}`);
}

/** What the store holds of a board whose whole flash was kept before. */
const stores = new Map<string, Promise<ReadonlyMap<string, Uint8Array>>>();

function keptStore(name: string, row: Row): Promise<ReadonlyMap<string, Uint8Array>> {
  const known = stores.get(name) ?? meet(row);
  stores.set(name, known);
  return known;
}

async function meet(row: Row): Promise<ReadonlyMap<string, Uint8Array>> {
  const { bench, place } = await worldOf(row, new Map());
  const { can, clock, gpio, locks, printer, serial, store, usb } = bench;
  const recorder = { before: async () => {} };
  const kit = { can, clock, gpio, locks, printer, recorder, serial, store, usb };
  await takeBackup(kit, { place, confirm: ['cold', 'still'] }, () => {});
  const copies = new Map<string, Uint8Array>();
  for (const key of await store.list('')) copies.set(key, (await store.read(key)) ?? new Uint8Array(0));
  bench.dispose();
  return copies;
}

async function worldOf(row: Row, kept: ReadonlyMap<string, Uint8Array>): Promise<World> {
  const { wire, model } = row;
  const bench = await createBench({
    ...(row.isToolhead === true ? {} : { board: model }),
    clock: 'hasty',
    ...row.bench,
  });
  for (const [key, bytes] of kept) await bench.store.write(key, bytes);
  bench.store.flushMs = FLUSH_MS;
  const chip = row.isToolhead === true ? toolheadOf(bench) : boardChip(bench);
  return {
    bench,
    chip,
    place: placeOf(row, bench, model),
    image: imageOf(row),
    unplug: () => (wire === 'can' ? bench.can.unplugAdapter() : bench.unplug()),
    replug: () => (wire === 'can' ? bench.can.replugAdapter() : bench.replug()),
  };
}

function placeOf({ wire, isToolhead }: Row, bench: VirtualBench, model: string): BoardPlace {
  const board = boardByName(model);
  if (isToolhead === true) {
    const [node] = bench.can.nodes;
    const can = { interfaceName: 'can0', uuid: node?.uuid };
    return { board: { ...board, name: 'ebb' }, pins: undefined, heaters: { kind: 'unknown' }, can };
  }
  const place: BoardPlace = { board, pins: PINS, heaters: { kind: 'unused' } };
  if (wire === 'usb') return place;
  return { ...place, can: { interfaceName: 'can0', uuid: canUuid(uidBytes(bench.board.data)) } };
}

const images = new Map<string, Uint8Array>();

/** The image of the matrix, built once for each shape. */
function imageOf(row: Row): Uint8Array {
  const key = `${row.model} ${row.wire} ${row.compactBytes}`;
  const known = images.get(key) ?? forgeFor(row, { version: NEW, seed: 2 });
  images.set(key, known);
  return known;
}

/** Another image for that way, as long as its own. */
export function imageFor(
  name: string,
  build: { readonly version: string; readonly seed: number },
): Uint8Array {
  const row = ROWS[name];
  if (row === undefined) throw noWay(name);
  return forgeFor(row, build);
}

function forgeFor(
  { model, wire, compactBytes }: Row,
  build: { readonly version: string; readonly seed: number },
): Uint8Array {
  const { mcu, applicationAddress } = boardByName(model);
  const size =
    compactBytes === undefined ? { sizeBytes: 40 * 1024 } : { isCompact: true, sizeBytes: compactBytes };
  return forgeKlipper({ mcu: mcu.name, linkAddress: applicationAddress, transport: wire, ...build, ...size });
}

function boardChip(bench: VirtualBench): Chip {
  return {
    flash: bench.flash,
    get version() {
      return bench.board.klipper?.version;
    },
    powerCut: () => bench.powerCut(),
    powerOn: () => bench.powerOn(),
    pressReset: () => bench.pressReset(),
    pressTwice: async () => {
      await bench.pressReset();
      await bench.clock.sleep(150);
      await bench.pressReset();
    },
  };
}

function toolheadOf(bench: VirtualBench): Chip {
  const [node] = bench.can.nodes;
  if (node === undefined) throw new Error('the bench has no toolhead');
  return {
    flash: node.flash,
    get version() {
      return node.klipper?.version;
    },
    powerCut: () => node.powerOff(),
    powerOn: () => node.coldStart(),
    pressReset: async () => node.pressReset(),
    pressTwice: async () => {
      node.pressReset();
      await bench.clock.sleep(150);
      node.pressReset();
    },
  };
}
