// The table of known boards: JSON files read once, checked, and joined with their chip.
import { readFileSync, readdirSync } from 'node:fs';
import { assert, type Struct } from 'superstruct';
import { OctopusError } from '../errors.ts';
import {
  BoardStruct,
  McuStruct,
  type Board,
  type BoardKind,
  type Mcu,
  type McuData,
  type RomFacts,
  type Sector,
} from './types.ts';

const mcus = new Map(readFolder('mcus', McuStruct).map((data) => [data.name, mcuOf(data)]));
const boards = new Map(
  readFolder('boards', BoardStruct).map((data): [string, Board] => {
    const mcu = mcus.get(data.mcu);
    if (mcu === undefined) throw new TypeError(`board ${data.name} names the unknown chip ${data.mcu}`);
    return [data.name, { ...data, mcu, applicationAddress: Number(data.applicationAddress) }];
  }),
);

/** The boards with USB and wires; these are what a `board` parameter and a virtual board can be. */
export function boardNames(): readonly string[] {
  return namesOf('mainboard');
}

/** The boards on a CAN bus. */
export function toolheadNames(): readonly string[] {
  return namesOf('toolhead');
}

function namesOf(kind: BoardKind): readonly string[] {
  return [...boards.values()].filter((board) => board.kind === kind).map(({ name }) => name);
}

/** A board of either kind. Throws `unknown-board` with the names that exist. */
export function boardByName(name: string): Board {
  const board = boards.get(name);
  if (board !== undefined) return board;
  throw new OctopusError('unknown-board', `there is no board "${name.slice(0, 100)}"`, {
    place: 'board',
    advice: `Known boards: ${boardNames().join(', ')}; on a CAN bus: ${toolheadNames().join(', ')}.`,
  });
}

/** The chip's flash, bytes. */
export function flashSizeBytes(mcu: Mcu): number {
  return mcu.sectors.reduce((sum, sector) => sum + sector.sizeBytes, 0);
}

/** What is known of the chip's DfuSe ROM. Throws `wrong-mcu` where nothing is. */
export function romOf(mcu: Mcu): RomFacts {
  if (mcu.rom !== undefined) return mcu.rom;
  throw new OctopusError(
    'wrong-mcu',
    `the ROM of an ${mcu.name} is not known here: it cannot be flashed by DFU`,
    {
      place: mcu.name,
      advice: 'Flash this board over its CAN bus, through Katapult.',
    },
  );
}

function mcuOf(data: McuData): Mcu {
  const flashBase = Number(data.flashBase);
  const sectors: Sector[] = [];
  let next = flashBase;
  for (const { count, sizeKib } of data.sectors) {
    for (let i = 0; i < count; i++, next += sizeKib * 1024)
      sectors.push({ address: next, sizeBytes: sizeKib * 1024 });
  }
  return {
    ...data,
    flashBase,
    sectors,
    rom: data.rom && romFacts(data.rom),
    uidAddress: address(data.uidAddress),
    flashSizeAddress: address(data.flashSizeAddress),
  };
}

function romFacts({ optionBytes, ...rom }: NonNullable<McuData['rom']>): RomFacts {
  return { ...rom, optionBytes: { ...optionBytes, address: Number(optionBytes.address) } };
}

function address(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

function readFolder<T, S>(folder: string, struct: Struct<T, S>): T[] {
  const root = new URL(`./${folder}/`, import.meta.url);
  return readdirSync(root)
    .sort()
    .map((file) => {
      const data: unknown = JSON.parse(readFileSync(new URL(file, root), 'utf8'));
      assert(data, struct, `${folder}/${file}`);
      return data;
    });
}
