// What a copy holds, and the part of it that is to go back: all of it, the bootloader alone, or the application alone.
import type { Board } from '../boards/types.ts';
import { OctopusError, hex } from '../errors.ts';
import { isBootloader, isSound, launchOf, whatBoots, type Residents } from '../firmware/boot-rules.ts';
import { trimmed } from '../firmware/flatten.ts';
import type { Resident } from '../firmware/passport.ts';
import type { PlannedImage } from '../firmware/plan.ts';
import { recognizeAt } from '../firmware/recognize.ts';
import { describe } from '../firmware/write-rules.ts';

export const PARTS = ['whole', 'bootloader', 'application'] as const;
export type Part = (typeof PARTS)[number];

/** What is not in the copy is blank here. */
export interface Contents extends Residents {
  /** Where its bootloader launches an application; where it holds none, it begins with what some other one launches. */
  readonly launches: number;
  readonly hasBase: boolean;
}

export function contentsOf({ mcu, applicationAddress }: Board, { address, bytes }: PlannedImage): Contents {
  const at = (where: number) =>
    recognizeAt(where < address ? new Uint8Array(0) : bytes.subarray(where - address), where);
  const hasBase = address === mcu.flashBase;
  const atBase = at(mcu.flashBase);
  const launches = hasBase ? launchOf(atBase, applicationAddress) : address;
  return { atBase, application: at(launches), launches, hasBase };
}

/**
 * @param name of the copy, for messages
 * Throws `unknown-backup` where it has no such part, `nothing-would-boot` where the part would not start.
 */
export function partOf(board: Board, name: string, copy: PlannedImage, part: Part): PlannedImage {
  const contents = contentsOf(board, copy);
  if (part === 'bootloader') return bootloaderOf(name, copy, contents);
  if (part === 'application') return applicationOf(name, copy, contents);
  // A copy of a bootloader alone: what it will launch is on the chip, and is looked at there.
  const isBootloaderAlone =
    contents.hasBase && isBootloader(contents.atBase) && endOf(copy) <= contents.launches;
  if (!isBootloaderAlone && startsFrom(contents) === undefined) throw dead(name, contents);
  return copy;
}

/** What of the copy starts by itself, or by the bootloader before it. */
export function startsFrom(contents: Contents): Resident | undefined {
  if (contents.hasBase) return whatBoots(contents);
  return isSound(contents.application) && !isBootloader(contents.application)
    ? contents.application
    : undefined;
}

function bootloaderOf(name: string, copy: PlannedImage, contents: Contents): PlannedImage {
  const { atBase, application, launches, hasBase } = contents;
  const { address, bytes } = copy;
  // One that nobody knows is told by the Klipper that it launches.
  const isOne = isBootloader(atBase) || (atBase.kind === 'unknown' && application.kind === 'klipper');
  if (!hasBase || !isOne || atBase.damage !== null) throw lacks(name, 'no bootloader', contents);
  // Of most nobody knows where they end before their area does.
  const end = atBase.sizeBytes === null ? launches : address + atBase.sizeBytes;
  if (endOf(copy) < end)
    throw lacks(name, `only the first ${bytes.length} bytes of its bootloader`, contents);
  return { address, bytes: bytes.subarray(0, launches - address) };
}

function applicationOf(name: string, { address, bytes }: PlannedImage, contents: Contents): PlannedImage {
  const { atBase, application, launches } = contents;
  const isBare = atBase.kind === 'klipper';
  const [program, from] = isBare ? [atBase, address] : [application, launches];
  if (program.kind === 'blank') throw lacks(name, 'no application', contents);
  if (!isSound(program) || isBootloader(program)) throw dead(name, contents);
  const rest = bytes.subarray(from - address);
  return {
    address: from,
    bytes: program.sizeBytes === null ? trimmed(rest) : rest.subarray(0, program.sizeBytes),
  };
}

const endOf = ({ address, bytes }: PlannedImage) => address + bytes.length;

/** In words; null for what is not in it. */
export function wordsFor(resident: Resident): string | null {
  const { kind, damage, isCut } = resident;
  if (kind === 'blank') return null;
  if (kind === 'unknown' && damage !== null) return null;
  return `${describe(resident)}${isCut ? ', cut off' : damage === null ? '' : `, but ${damage}`}`;
}

function wordsOf({ atBase, application, hasBase, launches }: Contents): string {
  const parts = hasBase ? [atBase, application] : [application];
  const words = parts.flatMap((part) => wordsFor(part) ?? []);
  return words.length === 0 ? `nothing that starts at ${hex(launches)}` : words.join(' and ');
}

function lacks(name: string, what: string, contents: Contents): OctopusError {
  return new OctopusError('unknown-backup', `${name} has ${what}: it holds ${wordsOf(contents)}`, {
    place: 'what',
    advice: 'Choose another backup, or another part of it (octopus backups).',
  });
}

function dead(name: string, contents: Contents): OctopusError {
  return new OctopusError(
    'nothing-would-boot',
    `${name} holds ${wordsOf(contents)}: with it the board would have no firmware that boots`,
    {
      place: hex(contents.launches),
      advice: 'Choose another backup (octopus backups), or flash an image.',
    },
  );
}
