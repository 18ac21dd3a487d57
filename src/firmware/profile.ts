// Profiles: which firmware a board may have, and the lines of Kconfig that make it. A board and a connection are named, and
// nobody goes through twelve screens of menuconfig.
import { OctopusError, hex, nearest } from '../errors.ts';
import type { FirmwareKind, Transport } from './passport.ts';
import type { Kconfig } from './kconfig.ts';

export type Connection = Extract<Transport, 'usb' | 'bridge' | 'can'>;
export type BuiltKind = Extract<FirmwareKind, 'klipper' | 'katapult' | 'katapult-deployer'>;

interface BoardKconfig {
  readonly clock: readonly string[];
  readonly usb?: readonly string[] | undefined;
  readonly bridge?: readonly string[] | undefined;
  readonly can?: readonly string[] | undefined;
}

/** What is known of a board and its chip, as data: `src/boards/`. */
export interface Buildable {
  readonly name: string;
  readonly applicationAddress: number;
  /** Undefined where nobody knows how to build for it. */
  readonly kconfig?: BoardKconfig | undefined;
  readonly mcu: {
    readonly name: string;
    readonly flashBase: number;
    readonly kconfig: {
      readonly chip: readonly string[];
      readonly start: string;
      readonly bareOffset: string;
      readonly launch: string | null;
    };
  };
}

export interface Profile {
  /** `klipper-usb`, `klipper-bridge-bare`, `katapult-deployer-can`. */
  readonly name: string;
  readonly board: string;
  readonly mcu: string;
  readonly kind: BuiltKind;
  readonly connection: Connection;
  /** Where the program lies. */
  readonly linkAddress: number;
  /** What a Katapult launches; null for Klipper. */
  readonly launchAddress: number | null;
  /** Of its CAN bus, bits per second; null without one. */
  readonly canBitrate: number | null;
  readonly file: 'klipper.bin' | 'katapult.bin' | 'deployer.bin';
  readonly tree: 'klipper' | 'katapult';
  /** All that must be in the configuration. */
  readonly wanted: Kconfig;
}

/** As Klipper's and Katapult's Kconfig have it, and most buses. */
export const CAN_BITRATE = 1_000_000;

/** Every firmware of ours for this board, by name; none where nobody knows how to build for it. */
export function profilesOf(board: Buildable, canBitrate = CAN_BITRATE): readonly Profile[] {
  const { kconfig } = board;
  if (kconfig === undefined) return [];
  return (['usb', 'bridge', 'can'] as const).flatMap((connection) => {
    const wires = kconfig[connection];
    if (wires === undefined) return [];
    const make = (kind: BuiltKind, isBare: boolean) =>
      profileOf(board, { kind, connection, isBare, wires, canBitrate });
    const klippers = [make('klipper', false), make('klipper', true)];
    // Katapult talks USB or CAN; nobody flashes through a bridge of its own.
    if (connection === 'bridge') return klippers;
    return klippers.concat(make('katapult', true), make('katapult-deployer', false));
  });
}

/** Throws `unknown-profile` with the nearest right name. */
export function profileByName(board: Buildable, name: string, canBitrate?: number): Profile {
  const profiles = profilesOf(board, canBitrate);
  const found = profiles.find((one) => one.name === name);
  if (found !== undefined) return found;
  const names = profiles.map((one) => one.name);
  if (names.length === 0) {
    throw new OctopusError('unknown-profile', `nobody has found out yet how to build for ${board.name}`, {
      place: 'profile',
      advice: 'Build it by hand (make menuconfig), and flash the image.',
    });
  }
  const short = name.slice(0, 60);
  const meant = nearest(short, names);
  throw new OctopusError('unknown-profile', `${board.name} has no profile "${short}"`, {
    place: 'profile',
    advice: `${meant === undefined ? '' : `Did you mean ${meant}? `}There are: ${names.join(', ')}.`,
  });
}

interface Choice {
  readonly kind: BuiltKind;
  readonly connection: Connection;
  /** At the start of the flash: nothing before it. */
  readonly isBare: boolean;
  readonly wires: readonly string[];
  readonly canBitrate: number;
}

function profileOf(board: Buildable, { kind, connection, isBare, wires, canBitrate }: Choice): Profile {
  const { mcu, applicationAddress, kconfig } = board;
  const { chip, start, bareOffset, launch } = mcu.kconfig;
  const behind = applicationAddress - mcu.flashBase;
  const offset = isBare ? Number(bareOffset) : behind;
  const isKlipper = kind === 'klipper';
  const hasCan = connection !== 'usb';
  const lines = [
    // Without it Klipper takes a crystal of 8 MHz for granted, whatever else stands here.
    ...(isKlipper ? ['LOW_LEVEL_OPTIONS=y'] : []),
    ...chip,
    ...(kconfig?.clock ?? []),
    `${start}${offsetWord(offset)}=y`,
    ...(isKlipper || launch === null ? [] : [`${launch}${offsetWord(behind)}=y`]),
    ...wires,
    ...(hasCan ? [`CANBUS_FREQUENCY=${canBitrate}`] : []),
    ...(isKlipper ? [] : ['ENABLE_DOUBLE_RESET=y']),
  ];
  return {
    name: `${kind}-${connection}${isKlipper && isBare ? '-bare' : ''}`,
    board: board.name,
    mcu: mcu.name,
    kind,
    connection,
    linkAddress: mcu.flashBase + offset,
    launchAddress: isKlipper ? null : applicationAddress,
    canBitrate: hasCan ? canBitrate : null,
    file: FILES[kind],
    tree: isKlipper ? 'klipper' : 'katapult',
    wanted: new Map(lines.map(pairOf)),
  };
}

const FILES = {
  klipper: 'klipper.bin',
  katapult: 'katapult.bin',
  'katapult-deployer': 'deployer.bin',
} as const;

/** `STM32_FLASH_START_8000`, and `..._0000` and `..._0100` at the start of the flash. */
function offsetWord(offset: number): string {
  return hex(offset).replace(/^0x0*/, '').toUpperCase().padStart(4, '0');
}

function pairOf(line: string): readonly [string, string] {
  const at = line.indexOf('=');
  return [line.slice(0, at), line.slice(at + 1)];
}
