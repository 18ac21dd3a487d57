// Methods: what lies on a chip as it leaves the program: addresses as datasheets write them, what matters first.
import { hex } from '../errors.ts';
import type { BoardInspected } from '../flash/inspect-board.ts';
import type { ProgramReport } from '../flash/program-report.ts';
import type { JournalPages } from '../jobs/journal.ts';

/** @param dead a job that has died at this board, and that nobody has looked after */
export function chipAnswer(board: string, found: BoardInspected, dead: JournalPages | undefined) {
  return {
    state: 'done' as const,
    board,
    bootloader: programAnswer(found.bootloader),
    application: programAnswer(found.application),
    /** How the chip was read, and whose words the bootloader's are then. */
    through: found.through,
    busPath: found.busPath,
    chip: { mcu: found.mcu, id: found.chipId, flashSizeBytes: found.flashSizeBytes },
    protection: {
      read: found.isReadProtected,
      /** Null where the chip does not tell. */
      writeSectors: found.writeProtected?.map(hex) ?? null,
    },
    map: found.map.map(({ address, sizeBytes, holds }) => ({
      address: hex(address),
      end: hex(address + sizeBytes - 1),
      sizeBytes,
      holds,
    })),
    free: {
      sectors: found.freeSectors.map(({ address, sizeBytes }) => ({ address: hex(address), sizeBytes })),
      bytes: found.freeSectors.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    },
    unreadBytes: found.unreadBytes,
    lastFlash: found.lastFlash,
    unfinished: found.unfinished,
    deadJob: dead === undefined ? null : { method: dead.method, startedAt: dead.startedAt },
    notes: found.notes,
    timings: found.timings,
  };
}
export type ChipAnswer = ReturnType<typeof chipAnswer>;

function programAnswer(program: ProgramReport | null) {
  if (program === null) return null;
  const { address, linkAddress, launchAddress, reachBytes, ...rest } = program;
  return {
    ...rest,
    address: hex(address),
    linkAddress: linkAddress === null ? null : hex(linkAddress),
    launchAddress: launchAddress === null ? null : hex(launchAddress),
    reachBytes,
  };
}
export type ProgramAnswer = NonNullable<ReturnType<typeof programAnswer>>;
