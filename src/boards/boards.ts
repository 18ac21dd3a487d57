// The table of known boards: JSON files read once, checked, and joined with their chip.
import { readFileSync, readdirSync } from 'node:fs';
import { assert, create, type Struct } from 'superstruct';
import { OctopusError } from '../errors.ts';
import { BoardStruct, McuStruct, type Board, type Mcu, type Sector } from './types.ts';

const mcus = new Map(readFolder('mcus', McuStruct).map((data) => [data.name, mcuOf(data)]));
const boards = new Map(
  readFolder('boards', BoardStruct).map((data): [string, Board] => {
    const mcu = mcus.get(data.mcu);
    if (mcu === undefined) throw new TypeError(`board ${data.name} names the unknown chip ${data.mcu}`);
    return [data.name, { ...data, mcu, applicationAddress: Number(data.applicationAddress) }];
  }),
);

export function boardNames(): readonly string[] {
  return [...boards.keys()];
}

/** Throws `unknown-board` with the names that exist. */
export function boardByName(name: string): Board {
  const board = boards.get(name);
  if (board !== undefined) return board;
  throw new OctopusError('unknown-board', `there is no board "${name}"`, {
    place: 'board',
    advice: `Known boards: ${boardNames().join(', ')}.`,
  });
}

/** The chip's flash, bytes. */
export function flashSizeBytes(mcu: Mcu): number {
  return mcu.sectors.reduce((sum, sector) => sum + sector.sizeBytes, 0);
}

function mcuOf(data: ReturnType<typeof readMcu>): Mcu {
  const flashBase = Number(data.flashBase);
  const sectors: Sector[] = [];
  let address = flashBase;
  for (const { count, sizeKib } of data.sectors) {
    for (let i = 0; i < count; i++, address += sizeKib * 1024)
      sectors.push({ address, sizeBytes: sizeKib * 1024 });
  }
  return {
    ...data,
    flashBase,
    sectors,
    uidAddress: Number(data.uidAddress),
    flashSizeAddress: Number(data.flashSizeAddress),
  };
}

function readMcu(data: unknown) {
  return create(data, McuStruct);
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
