// The plan of a restore: a copy or a part of it, or a vendor's bootloader, each with an application beside it if one was given.
import type { Board } from '../boards/types.ts';
import { OctopusError, hex } from '../errors.ts';
import { isBootloader, isSound, launchOf } from '../firmware/boot-rules.ts';
import { ERASED } from '../firmware/flatten.ts';
import { readImage } from '../firmware/image.ts';
import { inspectImage } from '../firmware/inspect.ts';
import { sectorsOf, type PlannedImage } from '../firmware/plan.ts';
import { recognizeAt } from '../firmware/recognize.ts';
import { sha256 } from '../firmware/sha256.ts';
import { contentsOf, partOf, startsFrom, type Part } from './backup-parts.ts';
import type { BackupRecord } from './backup.ts';
import { estimateMs, preflight, type FlashPlan, type ImageFile } from './preflight.ts';

const NO_LEAVE = { replaceBootloader: false, force: [] } as const;

/** A copy, or a part of it, goes back where it came from. Throws `wrong-mcu`, `unknown-backup`, `nothing-would-boot`. */
export function planOfBackup(board: Board, record: BackupRecord, bytes: Uint8Array, part: Part): FlashPlan {
  const name = `backup ${record.id}`;
  if (record.mcu !== board.mcu.name) {
    throw new OctopusError(
      'wrong-mcu',
      `${name} is of an ${record.mcu}, ${board.name} has an ${board.mcu.name}`,
      {
        place: record.id,
        advice: 'Choose a backup of this board.',
      },
    );
  }
  const copy = { address: record.address, bytes };
  return planOf(board, name, partOf(board, name, copy, reachablePart(board, copy, part)));
}

/** Through a toolhead's Katapult only what lies behind it goes back: it does not write over itself. */
function reachablePart({ kind, name, mcu }: Board, { address }: PlannedImage, part: Part): Part {
  if (kind !== 'toolhead') return part;
  if (part === 'bootloader') {
    throw new OctopusError('wrong-address', `the Katapult of ${name} does not write over itself`, {
      place: hex(mcu.flashBase),
      advice: 'Katapult itself is updated by USB, with the BOOT button held.',
    });
  }
  return address === mcu.flashBase ? 'application' : part;
}

/**
 * A vendor's bootloader, perhaps with an application behind it.
 * Throws `not-a-bootloader`, `wrong-mcu`, `wrong-address`, and what `inspect` throws.
 */
export function planOfFile(board: Board, file: ImageFile): FlashPlan {
  const passport = inspectImage(readImage(file.bytes, file.name));
  if (!isBootloader(passport)) {
    const what =
      passport.kind === 'unknown'
        ? 'is not recognised as a bootloader'
        : `is ${passport.kind}, no bootloader`;
    throw new OctopusError('not-a-bootloader', `${file.name} ${what}`, {
      place: file.name,
      advice:
        passport.kind === 'unknown'
          ? "Give the .hex of this board's own bootloader from its maker. What is known to be right all the same: octopus flash --force unknown-kind."
          : 'Give the bootloader here; an application of its own: octopus flash.',
    });
  }
  const plan = preflight(board, file, { ...NO_LEAVE, replaceBootloader: true });
  const { image } = plan;
  const launches = launchOf(passport, board.applicationAddress);
  if (passport.kind === 'stock-bootloader' && launches !== board.applicationAddress) {
    throw new OctopusError(
      'wrong-address',
      `${file.name} launches ${hex(launches)}, the stock bootloader of ${board.name} ${hex(board.applicationAddress)}`,
      { place: file.name, advice: 'Give the bootloader that was made for this board and its chip.' },
    );
  }
  refuseOverlap(plan, launches);
  return image.address + image.bytes.length > launches ? planOf(board, file.name, image) : plan;
}

/** A bootloader ends before what it launches begins, or brings it along. */
function refuseOverlap({ board, image, passport, sectors }: FlashPlan, launches: number): void {
  const end = image.address + image.bytes.length;
  const { application } = contentsOf(board, image);
  if (end > launches && isSound(application) && !isBootloader(application)) {
    if (application.mcu === null || application.mcu === board.mcu.name) return;
    throw new OctopusError('wrong-mcu', `${passport.name} has an application for ${application.mcu} in it`, {
      place: hex(launches),
      advice: `Give one that was made for an ${board.mcu.name}.`,
    });
  }
  const last = sectors.at(-1);
  const erasedTo = last === undefined ? end : last.address + last.sizeBytes;
  if (end <= launches && erasedTo <= launches) return;
  throw new OctopusError(
    'wrong-address',
    end > launches
      ? `${passport.name} reaches to ${hex(end)}, over the application at ${hex(launches)}, and brings none that would start there`
      : `with ${passport.name} the flash is erased to ${hex(erasedTo)}, over the application at ${hex(launches)}`,
    {
      place: hex(launches),
      advice: 'Give the bootloader alone, or one file with both, made for this board.',
    },
  );
}

/**
 * The same bootloader with an application behind it, written in one go.
 * Throws `not-a-bootloader`, `wrong-address`, and what a flash of that image throws before it touches anything.
 */
export function withApplication(plan: FlashPlan, file: ImageFile): FlashPlan {
  const { board, image, passport } = plan;
  const { launches, atBase, hasBase } = contentsOf(board, image);
  if (!hasBase || !isBootloader(atBase)) {
    throw new OctopusError(
      'not-a-bootloader',
      `${passport.name} is no bootloader that could launch ${file.name}`,
      {
        place: 'application',
        advice: 'Flash the image itself: octopus flash.',
      },
    );
  }
  const application = preflight(board, file, NO_LEAVE).image;
  if (application.address !== launches) {
    throw new OctopusError(
      'wrong-address',
      `${file.name} is linked at ${hex(application.address)}, the bootloader launches ${hex(launches)}`,
      {
        place: file.name,
        advice: `Set the bootloader offset in make menuconfig so that the application starts at ${hex(launches)}, and build again.`,
      },
    );
  }
  const bytes = new Uint8Array(launches - image.address + application.bytes.length).fill(ERASED);
  bytes.set(image.bytes.subarray(0, launches - image.address));
  bytes.set(application.bytes, launches - image.address);
  return planOf(board, `${passport.name} with ${file.name}`, { address: image.address, bytes });
}

/** Its passport tells what will run, or else what it begins with. */
function planOf(board: Board, name: string, image: PlannedImage): FlashPlan {
  const main = startsFrom(contentsOf(board, image)) ?? recognizeAt(image.bytes, image.address);
  const { kind, damage: _damage, isCut: _isCut, address: _address, ...traits } = main;
  const sectors = sectorsOf(board.mcu.sectors, image.address, image.bytes.length);
  return {
    board,
    passport: {
      ...traits,
      kind: kind === 'blank' ? 'unknown' : kind,
      name,
      format: 'bin',
      containerAddress: image.address,
      sizeBytes: image.bytes.length,
      sha256: sha256(image.bytes),
      initialStackPointer: 0,
      resetVector: 0,
    },
    image,
    sectors,
    expectMs: estimateMs(board, sectors, image.bytes.length),
  };
}
