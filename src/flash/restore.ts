// Puts a kept copy back on the board: the same walk as a flash, with a plan made from the backup.
import { OctopusError, hex } from '../errors.ts';
import { recognizeAt } from '../firmware/recognize.ts';
import { sectorsOf } from '../firmware/plan.ts';
import type { Board } from '../boards/types.ts';
import type { Resident } from '../firmware/passport.ts';
import { residents } from './look.ts';
import { readBackup, regionName, type BackupRecord } from './backup.ts';
import { carryOut, reachOf, type FlashKit } from './flash.ts';
import { planned } from './flash-result.ts';
import type { Confirmation } from './gate.ts';
import { estimateMs, type FlashPlan } from './preflight.ts';
import type { FlashResult, Report } from './report.ts';
import { watched } from './stopwatch.ts';
import type { BoardPlace } from './place.ts';
import { passGate } from './klipper-stopped.ts';
import { findWayIn } from './way-in.ts';

export interface RestoreOrder {
  readonly place: BoardPlace;
  /** The backup's id, or the start of it. */
  readonly backup: string;
  readonly confirm: readonly Confirmation[];
  /** Gate and plan only: the board is not touched. */
  readonly dryRun?: boolean;
}

/** Throws `unknown-backup`, `backup-damaged`, and what a flash throws. */
export async function restore(
  kit: FlashKit,
  order: RestoreOrder,
  report: Report,
  signal?: AbortSignal,
): Promise<FlashResult> {
  return watched(kit.clock, report, async (watch) => {
    const { board } = order.place;
    const { record, bytes } = await readBackup(kit, board.name, order.backup);
    const plan = planOfBackup(board, record, bytes);
    await passGate(kit, order.confirm, watch);
    const way = await findWayIn(kit, order, reachOf(plan), watch, order.dryRun);
    const seconds = Math.ceil(plan.expectMs / 1000);
    watch.plan(
      `${board.name}: restore of ${regionName(record.address, record.sizeBytes)} as it was on ${record.date}, about ${seconds} s`,
      plan.expectMs,
    );
    if (order.dryRun === true) return planned(plan, watch);
    const options = {
      place: order.place,
      confirm: order.confirm,
      verify: true,
      dryRun: false,
      force: [],
      replaceBootloader: true,
    };
    return await carryOut(kit, plan, options, way, watch, signal);
  });
}

/** A copy goes back where it came from. Its passport tells the application in it, or else what it begins with. */
export function planOfBackup(board: Board, record: BackupRecord, kept: Uint8Array): FlashPlan {
  if (record.mcu !== board.mcu.name) {
    throw new OctopusError(
      'wrong-mcu',
      `the backup ${record.id} is of an ${record.mcu}, ${board.name} has an ${board.mcu.name}`,
      {
        place: record.id,
        advice: 'Choose a backup of this board.',
      },
    );
  }
  const { address, bytes } = reachable(board, record.address, kept);
  const {
    kind,
    damage: _damage,
    address: _address,
    isCut: _isCut,
    ...traits
  } = mainFirmware(board, address, bytes);
  const sectors = sectorsOf(board.mcu.sectors, address, bytes.length);
  return {
    board,
    passport: {
      ...traits,
      kind: kind === 'blank' ? 'unknown' : kind,
      name: `backup ${record.id} (${hex(address)})`,
      format: 'bin',
      containerAddress: address,
      sizeBytes: bytes.length,
      sha256: record.sha256,
      initialStackPointer: 0,
      resetVector: 0,
    },
    image: { address, bytes },
    sectors,
    expectMs: estimateMs(board, sectors, bytes.length),
  };
}

/** Through a toolhead's Katapult only what lies behind it goes back: it does not write over itself. */
function reachable(
  { kind, applicationAddress }: Board,
  address: number,
  bytes: Uint8Array,
): { readonly address: number; readonly bytes: Uint8Array } {
  const before = applicationAddress - address;
  if (kind !== 'toolhead' || before <= 0) return { address, bytes };
  return { address: applicationAddress, bytes: bytes.subarray(before) };
}

function mainFirmware(board: Board, address: number, bytes: Uint8Array): Resident {
  if (address !== board.mcu.flashBase || bytes.length <= board.applicationAddress - address)
    return recognizeAt(bytes, address);
  const { atBase, application } = residents(board, bytes);
  return application.kind === 'klipper' ? application : atBase;
}
