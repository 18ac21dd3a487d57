// What was seen on a chip, put into order: which bootloader, which application, whole or not, and what lies where. Pure.
import type { Board, Sector } from '../boards/types.ts';
import { freeSectors, mapOf, type Holds, type Region } from '../firmware/flash-map.ts';
import type { Resident } from '../firmware/passport.ts';
import { sha256 } from '../firmware/sha256.ts';
import type { BoardMemory } from './board-memory.ts';
import type { ChipIdentity } from './bootloader.ts';
import { programOf, type ProgramReport, type Readings } from './program-report.ts';
import type { Replacement } from './replacement.ts';

/** A look at a chip. */
export type ChipLook =
  | { readonly through: 'rom'; readonly isReadProtected: true }
  | (Omit<Readings, 'sectors'> & {
      readonly through: 'rom' | 'katapult';
      readonly isReadProtected: false;
      /** Undefined: nobody tells. */
      readonly writeProtected: readonly Sector[] | undefined;
      readonly atBase: Resident;
      readonly application: Resident;
    });

/** What was written once, and whether exactly that lies there now; null: it cannot be told. */
export interface Written {
  readonly date: string;
  readonly kind: string;
  readonly version: string | null;
  readonly isThere: boolean | null;
}

export interface ChipReport {
  /** Which bootloader was asked. */
  readonly through: 'rom' | 'katapult';
  readonly busPath: string;
  readonly mcu: string;
  readonly chipId: string | null;
  readonly flashSizeBytes: number;
  readonly isReadProtected: boolean;
  /** Start addresses of sectors; null where the chip does not tell. */
  readonly writeProtected: readonly number[] | null;
  /** Null where there is none, or nothing could be read. */
  readonly bootloader: ProgramReport | null;
  readonly application: ProgramReport | null;
  readonly map: readonly Region[];
  /** Sectors that are blank from end to end. */
  readonly freeSectors: readonly Sector[];
  /** Bytes that nobody has looked at. */
  readonly unreadBytes: number;
  /** What this program has flashed last. */
  readonly lastFlash: Written | null;
  /** What was begun to be written, and was not seen to run since. */
  readonly unfinished: Written | null;
}

export interface Records {
  readonly lastFlash: BoardMemory['lastFlash'];
  readonly replacement: Replacement | undefined;
}

export function reportOf(board: Board, identity: ChipIdentity, seen: ChipLook, records: Records): ChipReport {
  const end = board.mcu.flashBase + identity.flashSizeBytes;
  const sectors = board.mcu.sectors.filter(({ address }) => address < end);
  const readings: Readings = {
    sectors,
    runs: seen.isReadProtected ? [] : seen.runs,
    unreadable: seen.isReadProtected ? sectors : seen.unreadable,
  };
  const written = writtenIn(readings, records);
  const { bootloader, application } = seen.isReadProtected
    ? { bootloader: null, application: null }
    : programsIn(seen, readings, end, records.replacement, written.unfinished);
  const parts = {
    sectors,
    seen: readings.runs,
    unreadable: readings.unreadable,
    programs: [...placeOf(bootloader, 'bootloader'), ...placeOf(application, 'application')],
  };
  const map = mapOf(parts);
  return {
    through: seen.through,
    busPath: identity.busPath,
    mcu: identity.mcu,
    chipId: identity.uid,
    flashSizeBytes: identity.flashSizeBytes,
    isReadProtected: seen.isReadProtected,
    writeProtected:
      (seen.isReadProtected ? undefined : seen.writeProtected)?.map(({ address }) => address) ?? null,
    bootloader,
    application,
    map,
    freeSectors: freeSectors(parts),
    unreadBytes: map.reduce((sum, { holds, sizeBytes }) => sum + (holds === 'unread' ? sizeBytes : 0), 0),
    ...written,
  };
}

/** Firmware at the flash's start needs no bootloader. */
function programsIn(
  { atBase, application }: { readonly atBase: Resident; readonly application: Resident },
  readings: Readings,
  end: number,
  replacement: Replacement | undefined,
  unfinished: Written | null,
): Pick<ChipReport, 'bootloader' | 'application'> {
  const isHalf = replacement !== undefined && unfinished?.isThere === false;
  const begunAt = (address: number) =>
    isHalf && replacement.address === address
      ? {
          startedAt: replacement.startedAt,
          kind: replacement.passport.kind,
          version: replacement.passport.version,
        }
      : undefined;
  if (atBase.kind === 'klipper')
    return { bootloader: null, application: programOf(atBase, readings, end, begunAt(atBase.address)) };
  return {
    bootloader: programOf(atBase, readings, application.address, begunAt(atBase.address)),
    application: programOf(application, readings, end, begunAt(application.address)),
  };
}

function placeOf(program: ProgramReport | null, holds: Holds): readonly Region[] {
  return program === null ? [] : [{ address: program.address, sizeBytes: program.reachBytes, holds }];
}

function writtenIn(
  readings: Readings,
  { lastFlash, replacement }: Records,
): Pick<ChipReport, 'lastFlash' | 'unfinished'> {
  return {
    lastFlash:
      lastFlash === undefined
        ? null
        : {
            date: lastFlash.date,
            kind: lastFlash.kind,
            version: lastFlash.version,
            isThere: liesIn(readings, lastFlash.linkAddress, lastFlash.sizeBytes, lastFlash.sha256),
          },
    unfinished:
      replacement === undefined
        ? null
        : {
            date: replacement.startedAt,
            kind: replacement.passport.kind,
            version: replacement.passport.version,
            isThere: liesIn(readings, replacement.address, replacement.sizeBytes, replacement.sha256),
          },
  };
}

/** Null where not all of it was read. */
function liesIn(
  { runs, unreadable }: Readings,
  address: number,
  sizeBytes: number | undefined,
  digest: string,
): boolean | null {
  if (sizeBytes === undefined) return null;
  const end = address + sizeBytes;
  if (unreadable.some((one) => one.address < end && address < one.address + one.sizeBytes))
    // A chip that shows nothing proves nothing; a torn sector is nothing that was written to its end.
    return runs.length === 0 ? null : false;
  const run = runs.find((one) => one.address <= address && end <= one.address + one.bytes.length);
  return run === undefined
    ? null
    : sha256(run.bytes.subarray(address - run.address, end - run.address)) === digest;
}
