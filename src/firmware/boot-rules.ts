// What a board starts, and whether it still starts something once its bootloader was put back. Pure.
import { OctopusError, hex } from '../errors.ts';
import type { Resident } from './passport.ts';
import { describe } from './write-rules.ts';

/** What lies at the flash's start, and what lies where that launches an application. */
export interface Residents {
  readonly atBase: Resident;
  readonly application: Resident;
}

/** @param usual where this board's stock bootloader launches: that one does not always tell */
export function launchOf({ launchAddress }: Pick<Resident, 'launchAddress'>, usual: number): number {
  return launchAddress ?? usual;
}

export function isBootloader({ kind }: Pick<Resident, 'kind'>): boolean {
  return kind === 'stock-bootloader' || kind === 'katapult';
}

/** Whether it is a whole program, as far as its bytes tell. */
export function isSound({ kind, damage, isCut }: Resident): boolean {
  return kind !== 'blank' && damage === null && !isCut;
}

/** Whether it may be running now: of what lies on a chip often only the beginning was read. */
function mayRun({ kind, damage }: Resident): boolean {
  return kind !== 'blank' && damage === null;
}

/** What runs after a reset. Something unknown at the flash's start may be a program or another bootloader. */
export function whatBoots({ atBase, application }: Residents): Resident | undefined {
  if (!isSound(atBase)) return undefined;
  if (atBase.kind === 'klipper') return atBase;
  const launched = isSound(application) && !isBootloader(application) ? application : undefined;
  return isBootloader(atBase) ? launched : launched?.kind === 'klipper' ? launched : atBase;
}

export interface BootChange {
  readonly now: Residents;
  /** As it will be; its application too where that is left as it lies. */
  readonly after: Residents;
  /** Whether what will boot is written, and not only left as it lies. */
  readonly bringsApplication: boolean;
  /** Where this board's stock bootloader launches. */
  readonly usual: number;
}

/**
 * A board is never left without firmware that boots. Returns what will boot; undefined where nothing does now, and so
 * nothing can be lost. Throws `nothing-would-boot`.
 */
export function judgeBoot({ now, after, bringsApplication, usual }: BootChange): Resident | undefined {
  const boots = whatBoots(after);
  const lost = bringsApplication && boots !== undefined ? undefined : losing(now, after, boots, usual);
  if (lost === undefined) return boots;
  const launches = hex(launchOf(after.atBase, usual));
  throw new OctopusError(
    'nothing-would-boot',
    `${lost} would not start any more: the ${describe(after.atBase)} launches ${launches}`,
    {
      place: launches,
      advice: `Give what it is to launch along with it (application: a Klipper linked at ${launches}), or restore a whole backup.`,
    },
  );
}

/** What runs now and would not any more, in words. What lies where nothing launched it until now is no replacement. */
function losing(
  now: Residents,
  after: Residents,
  boots: Resident | undefined,
  usual: number,
): string | undefined {
  const { atBase, application } = now;
  if (!mayRun(atBase)) return undefined;
  if (atBase.kind === 'klipper') return `${describe(atBase)} at ${hex(atBase.address)}`;
  if (!isBootloader(atBase)) return boots?.kind === 'klipper' ? undefined : 'what runs now';
  const isLaunchedAgain = launchOf(atBase, usual) === launchOf(after.atBase, usual);
  if (isLaunchedAgain && boots !== undefined) return undefined;
  return mayRun(application) ? `${describe(application)} at ${hex(application.address)}` : undefined;
}
