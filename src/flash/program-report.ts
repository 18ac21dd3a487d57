// One program on a chip: what it is, whether it is whole, and how far it reaches. Pure.
import type { Sector } from '../boards/types.ts';
import { hex } from '../errors.ts';
import { ERASED } from '../firmware/flatten.ts';
import { integrityOf, type Verdict } from '../firmware/integrity.ts';
import type { Resident } from '../firmware/passport.ts';
import type { PlannedImage } from '../firmware/plan.ts';

export interface ProgramReport extends Verdict {
  readonly kind: Exclude<Resident['kind'], 'blank'>;
  readonly version: string | null;
  readonly transport: Resident['transport'];
  readonly canFrequency: number | null;
  readonly address: number;
  readonly linkAddress: number | null;
  /** Of the program alone; null where its end is not known. */
  readonly sizeBytes: number | null;
  readonly sha256: string | null;
  /** Where it starts another program. */
  readonly launchAddress: number | null;
  /** How far what belongs to it reaches, by its own length or by what follows it without a gap. */
  readonly reachBytes: number;
}

/** What of the chip was read. */
export interface Readings {
  readonly sectors: readonly Sector[];
  /** In address order. */
  readonly runs: readonly PlannedImage[];
  readonly unreadable: readonly Sector[];
}

/** Where a program's end is not known, so many bytes of ones are one. */
const GAP_BYTES = 1024;

/**
 * Null where nothing begins: blank flash, or an erased sector with something else far behind it.
 * @param until where the next program begins, for one whose end is not known
 * @param begun a write to its address that is known not to have ended
 */
export function programOf(
  resident: Resident,
  readings: Readings,
  until: number,
  begun?: {
    readonly startedAt: string;
    readonly kind: ProgramReport['kind'];
    readonly version: string | null;
  },
): ProgramReport | null {
  const { kind, address } = resident;
  const memory = memoryAt(readings.runs, address);
  const verdict = judge(resident, memory, readings, begun);
  if (verdict === undefined) return null;
  const { version, transport, canFrequency, linkAddress, sha256, launchAddress, programBytes } = resident;
  const isNameless = kind === 'blank' || kind === 'unknown';
  return {
    kind: isNameless ? (begun?.kind ?? 'unknown') : kind,
    version: isNameless ? (begun?.version ?? null) : version,
    transport,
    canFrequency,
    address,
    linkAddress,
    sizeBytes: programBytes,
    sha256: verdict.integrity === 'whole' ? sha256 : null,
    launchAddress,
    reachBytes: reachOf(memory?.subarray(0, until - address), programBytes, until - address),
    ...verdict,
  };
}

/** The content counts; what is on record explains what does not fit itself. */
function judge(
  resident: Resident,
  memory: Uint8Array | undefined,
  readings: Readings,
  begun: { readonly startedAt: string } | undefined,
): Verdict | undefined {
  const seen = judgeContent(resident, memory, readings);
  if (begun === undefined || seen?.integrity === 'whole') return seen;
  return { integrity: 'half-written', why: `the write that was begun at ${begun.startedAt} did not end` };
}

function judgeContent(
  resident: Resident,
  memory: Uint8Array | undefined,
  { sectors, unreadable }: Readings,
): Verdict | undefined {
  const { address, programBytes, kind } = resident;
  if (kind === 'blank') return undefined;
  if (memory === undefined) return { integrity: 'unproven', why: 'it answers; its own bytes were not read' };
  const end = address + (programBytes ?? 1);
  const torn = unreadable.find(
    (sector) => sector.address < end && address < sector.address + sector.sizeBytes,
  );
  if (torn !== undefined) {
    const why = `the sector at ${hex(torn.address)} cannot be read: a write was cut off there`;
    return { integrity: 'half-written', why };
  }
  // An erased sector with something else behind it is no beginning.
  const sizeBytes = sectors.find((sector) => sector.address === address)?.sizeBytes ?? 0;
  if (sizeBytes > 0 && isBlank(memory.subarray(0, sizeBytes))) return undefined;
  return integrityOf(memory, resident);
}

function reachOf(memory: Uint8Array | undefined, programBytes: number | null, most: number): number {
  if (programBytes !== null) return Math.min(programBytes, most);
  if (memory === undefined) return most;
  const first = memory.findIndex((byte) => byte !== ERASED);
  if (first < 0) return Math.min(GAP_BYTES, memory.length);
  let end = first - (first % GAP_BYTES);
  while (end < memory.length && !isBlank(memory.subarray(end, end + GAP_BYTES))) end += GAP_BYTES;
  const last = memory.subarray(0, end).findLastIndex((byte) => byte !== ERASED);
  return last + 1;
}

/** Undefined where it was not read. */
function memoryAt(runs: readonly PlannedImage[], address: number): Uint8Array | undefined {
  const run = runs.find((one) => one.address <= address && address < one.address + one.bytes.length);
  return run?.bytes.subarray(address - run.address);
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === ERASED);
}
