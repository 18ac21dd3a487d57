// What may be written where, as the design says. Pure: the walk asks it once with what is known before the board is
// touched, and again with what was read from the chip.
import { OctopusError, hex } from '../errors.ts';
import type { FirmwareKind, Resident } from './passport.ts';

/** What lies at the start of the flash; a Katapult's launchAddress is null where it cannot be read out of it. */
export type AtFlashBase = Pick<Resident, 'kind' | 'launchAddress' | 'version'>;

export interface Intent {
  readonly kind: FirmwareKind;
  /** Where the image would be written. */
  readonly address: number;
  readonly flashBase: number;
  /** Where this board's stock bootloader launches its application. */
  readonly applicationAddress: number;
  readonly replaceBootloader: boolean;
}

/** Throws the refusal, or returns. A refusal has erased nothing. */
export function judgeWrite(intent: Intent, resident: AtFlashBase): void {
  judgeKind(intent.kind);
  if (intent.address === intent.flashBase) judgeAtBase(intent, resident);
  else judgeBehind(intent, resident);
}

/** What is refused wherever it would go, and so before the chip is looked at. */
export function judgeKind(kind: FirmwareKind): void {
  if (kind !== 'katapult-deployer') return;
  throw new OctopusError(
    'deployer-by-dfu',
    'a Katapult deployer is installed by the bootloader it replaces, never by DFU',
    { place: 'image', advice: 'Flash katapult.bin itself with replace_bootloader.' },
  );
}

function judgeAtBase(intent: Intent, resident: AtFlashBase): void {
  if (resident.kind === 'blank' || resident.kind === 'klipper' || intent.replaceBootloader) return;
  const what =
    resident.kind === 'unknown' ? 'something unknown, perhaps a bootloader,' : `the ${describe(resident)}`;
  throw new OctopusError(
    'bootloader-would-be-lost',
    `the image belongs at ${hex(intent.address)}, where ${what} lies`,
    {
      place: hex(intent.address),
      advice: `Build with the bootloader offset (application at ${hex(intent.applicationAddress)}), or add replace_bootloader: the old one is kept as a backup first.`,
    },
  );
}

function judgeBehind(intent: Intent, resident: AtFlashBase): void {
  if (resident.kind === 'stock-bootloader' || resident.kind === 'katapult') {
    const launches =
      resident.launchAddress ?? (resident.kind === 'stock-bootloader' ? intent.applicationAddress : null);
    if (launches === intent.address) return;
    const where = launches === null ? 'an address that cannot be read out of it' : hex(launches);
    throw new OctopusError(
      'wrong-address',
      `the image is linked at ${hex(intent.address)}, but the ${describe(resident)} launches ${where}`,
      {
        place: hex(intent.address),
        advice: `Set the bootloader offset in make menuconfig so that the application starts at ${launches === null ? hex(intent.applicationAddress) : hex(launches)}, and build again.`,
      },
    );
  }
  throw new OctopusError(
    'address-behind-nothing',
    `the image is linked at ${hex(intent.address)}, behind a bootloader, but ${hex(intent.flashBase)} holds ${describe(resident)}${resident.kind === 'klipper' ? ' without a bootloader' : ''}: it would run until the power is switched off`,
    {
      place: hex(intent.flashBase),
      advice:
        'Restore the stock bootloader from its backup or flash Katapult first, or build without a bootloader offset.',
    },
  );
}

export function describe(resident: AtFlashBase): string {
  const version = resident.version === null ? '' : ` ${resident.version}`;
  switch (resident.kind) {
    case 'blank':
      return 'nothing';
    case 'klipper':
      return `Klipper${version}`;
    case 'katapult':
      return `Katapult${version}`;
    case 'katapult-deployer':
      return 'Katapult deployer';
    case 'stock-bootloader':
      return 'stock bootloader';
    case 'unknown':
      return 'something unknown';
  }
}
