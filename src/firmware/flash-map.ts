// What lies where in a chip's flash, from its start to its end: the answer that people looked for in a hex viewer. Pure.
import { ERASED } from './flatten.ts';
import type { PlannedImage, PlanSector } from './plan.ts';

/**
 * `data`: something that is no known program. `unread`: nobody looked. `unreadable`: the chip does not show it (read
 * protection, or a word that a power cut left half-written).
 */
export type Holds = 'bootloader' | 'application' | 'data' | 'blank' | 'unread' | 'unreadable';

export interface Region {
  readonly address: number;
  readonly sizeBytes: number;
  readonly holds: Holds;
}

export interface MapParts {
  /** All of the chip, in address order. */
  readonly sectors: readonly PlanSector[];
  /** What was read, in address order. */
  readonly seen: readonly PlannedImage[];
  /** Where known programs lie. */
  readonly programs: readonly Region[];
  readonly unreadable: readonly PlanSector[];
}

/** Data ends where a last byte that is not blank stands, rounded up to this: a line of a hex viewer. */
const LINE_BYTES = 16;

/** Regions without gaps, neighbours never alike but for the programs. */
export function mapOf({ sectors, seen, programs, unreadable }: MapParts): readonly Region[] {
  const regions: Region[] = [];
  const known = [...programs].sort((a, b) => a.address - b.address);
  for (const sector of sectors) {
    const end = sector.address + sector.sizeBytes;
    for (let at = sector.address; at < end;) {
      const program = known.find((one) => one.address <= at && at < endOf(one));
      const next = known.find((one) => one.address > at && one.address < end)?.address ?? end;
      if (program !== undefined) {
        const to = Math.min(endOf(program), end);
        add(regions, at, to, program.holds, at > program.address);
        at = to;
      } else if (unreadable.some(({ address }) => address === sector.address)) {
        add(regions, at, next, 'unreadable');
        at = next;
      } else {
        addSeen(regions, at, next, seen);
        at = next;
      }
    }
  }
  return regions;
}

/** Sectors that were read from their first to their last byte, and are blank. */
export function freeSectors({ sectors, seen, unreadable }: MapParts): readonly PlanSector[] {
  return sectors.filter(({ address, sizeBytes }) => {
    if (unreadable.some((one) => one.address === address)) return false;
    const run = seen.find((one) => one.address <= address && address + sizeBytes <= endOfRun(one));
    const from = address - (run?.address ?? 0);
    return run !== undefined && run.bytes.subarray(from, from + sizeBytes).every((byte) => byte === ERASED);
  });
}

function addSeen(regions: Region[], from: number, to: number, seen: readonly PlannedImage[]): void {
  for (let at = from; at < to;) {
    const run = seen.find((one) => one.address <= at && at < endOfRun(one));
    if (run === undefined) {
      const next = seen.find((one) => one.address > at)?.address ?? to;
      const end = Math.min(next, to);
      add(regions, at, end, 'unread');
      at = end;
      continue;
    }
    const end = Math.min(endOfRun(run), to);
    const bytes = run.bytes.subarray(at - run.address, end - run.address);
    const last = bytes.findLastIndex((byte) => byte !== ERASED);
    const dataEnd = Math.min(end, at + Math.ceil((last + 1) / LINE_BYTES) * LINE_BYTES);
    if (at < dataEnd) add(regions, at, dataEnd, 'data');
    if (dataEnd < end) add(regions, dataEnd, end, 'blank');
    at = end;
  }
}

/** @param isSame the region goes on with what the last one holds, although neighbours of its kind are told apart */
function add(regions: Region[], from: number, to: number, holds: Holds, isSame = true): void {
  const last = regions.at(-1);
  if (last !== undefined && last.holds === holds && isSame && endOf(last) === from)
    regions[regions.length - 1] = { ...last, sizeBytes: to - last.address };
  else regions.push({ address: from, sizeBytes: to - from, holds });
}

function endOf({ address, sizeBytes }: Region): number {
  return address + sizeBytes;
}

function endOfRun({ address, bytes }: PlannedImage): number {
  return address + bytes.length;
}
