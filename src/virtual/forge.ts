// Virtual bench, firmware: synthetic images shaped like the real ones (klipper-katapult-dfu.md section 2).

import { APP_ADDRESS, CRYSTAL_HZ, FLASH_BASE, forgeMcu, ForgedImage, type ForgeMcu } from './forge-parts.ts';
import { forgeDictionary, type KlipperTransport } from './forge-dictionary.ts';
import { plantSeal } from './seal.ts';

export type { ForgeMcu } from './forge-parts.ts';
export type { KlipperTransport } from './forge-dictionary.ts';

export interface ForgeKlipper {
  readonly mcu: string;
  /** Default: behind the stock bootloader. 0x08000000 for a bare one. */
  readonly linkAddress?: number;
  readonly version?: string;
  readonly transport?: KlipperTransport;
  /** Of the CAN bus; only a CAN node has it in its dictionary. */
  readonly canFrequency?: number;
  readonly sizeBytes?: number;
  readonly seed?: number;
  /** The crystal it was built for; another than the board's and it never enumerates. */
  readonly crystalHz?: number;
}

export interface ForgeKatapult {
  readonly mcu: string;
  /** 1.0: as built before 2024-08-06, without a version in it. Default 1.1. */
  readonly protocol?: '1.0' | '1.1';
  readonly transport?: 'usb' | 'can';
  readonly appAddress?: number;
  readonly version?: string;
  readonly seed?: number;
  readonly crystalHz?: number;
}

export interface ForgeDeployer extends ForgeKatapult {
  readonly linkAddress?: number;
}

export const NEW_KLIPPER = 'v0.13.0-730-g84104bbbd';
export const OLD_KLIPPER = 'v0.12.0-85-gd785b396';
export const KATAPULT_VERSION = 'v0.0.1-109-g902f335';

/** cpsid i; ldr r3,[pc,#8]; ldr r2,[pc,#8]; mov sp,r3; bx r2: the halfwords b672 4b02 4a02 469d 4710. */
const RESET_HANDLER = Uint8Array.of(0x72, 0xb6, 0x02, 0x4b, 0x02, 0x4a, 0x9d, 0x46, 0x10, 0x47, 0x00, 0xbf);
const SIGNATURE = Uint8Array.from(Buffer.from('CanBoot!', 'latin1'));

/** Bytes of the builds of section 1: [offset, none] per transport. */
const KLIPPER_SIZES: Readonly<
  Record<ForgeMcu, Readonly<Record<KlipperTransport, readonly [number, number]>>>
> = {
  stm32f446xx: { usb: [44516, 44388], bridge: [46728, 46616], can: [43176, 43048] },
  stm32f429xx: { usb: [44528, 44416], bridge: [46756, 46628], can: [43200, 43056] },
  stm32f407xx: { usb: [44444, 44332], bridge: [46676, 46548], can: [43120, 42976] },
  stm32h723xx: { usb: [44608, 44448], bridge: [46948, 46772], can: [43248, 43072] },
};

export function forgeKlipper(options: ForgeKlipper): Uint8Array {
  const mcu = forgeMcu(options.mcu);
  const link = options.linkAddress ?? APP_ADDRESS[mcu];
  const bare = link === FLASH_BASE;
  const transport = options.transport ?? 'usb';
  const version = options.version ?? NEW_KLIPPER;
  const seed = options.seed ?? 1;
  const sizes = KLIPPER_SIZES[mcu][transport];
  const size = options.sizeBytes ?? (bare ? sizes[1] : sizes[0]);
  const image = new ForgedImage(size, seed, `klipper ${mcu} ${version} ${transport} ${link}`);
  const dictionary = forgeDictionary({
    mcu,
    version,
    transport,
    canFrequency: options.canFrequency ?? 1_000_000,
    seed,
  });
  // Reset handlers as built: F446 0x0800f009 and 0x08006ff5, H723 0x080276f5.
  const reset = mcu === 'stm32h723xx' ? (bare ? 0x7654 : 0x76f4) : bare ? 0x6ff4 : 0x7008;
  // The dictionary lies at 0x8b00 to 0x9b50; CAN code pushes it up.
  const dictionaryAt = transport === 'usb' ? 0x8b64 : transport === 'can' ? 0x8b00 : 0x9350;
  const stackTop = 0x2002_0000;
  image.word(0, stackTop);
  image.word(4, (link + reset) | 1);
  image.vectors(2, 98, (link + reset + 0x40) | 1);
  image.put(reset, RESET_HANDLER);
  image.word(reset + 12, stackTop);
  image.word(reset + 16, (link + reset - 0x180) | 1);
  image.word(0x5a10, link + dictionaryAt);
  // Every offset build holds the signature as a literal, since it looks for a Katapult before it.
  if (!bare) image.put(0x61c0, SIGNATURE);
  image.put(dictionaryAt, dictionary);
  return seal(image, link, options.crystalHz ?? CRYSTAL_HZ[mcu]);
}

const KATAPULT_SHAPES: Readonly<
  Record<ForgeMcu, { readonly usb: number; readonly can: number; readonly sizes: readonly [number, number] }>
> = {
  stm32f446xx: { usb: 0x158, can: 0xa0, sizes: [5148, 4152] },
  stm32f429xx: { usb: 0x158, can: 0xa0, sizes: [5052, 4104] },
  stm32f407xx: { usb: 0x158, can: 0xa0, sizes: [5052, 4104] },
  stm32h723xx: { usb: 0x180, can: 0x98, sizes: [5756, 4632] },
};

export function forgeKatapult(options: ForgeKatapult): Uint8Array {
  const mcu = forgeMcu(options.mcu);
  const transport = options.transport ?? 'usb';
  const version = options.version ?? KATAPULT_VERSION;
  const shape = KATAPULT_SHAPES[mcu];
  const reset = shape[transport];
  const size = shape.sizes[transport === 'usb' ? 0 : 1];
  const image = new ForgedImage(size, options.seed ?? 2, `katapult ${mcu} ${version} ${transport}`);
  image.word(0, mcu === 'stm32h723xx' ? 0x2401_fff8 : 0x2001_fff8);
  image.word(4, (FLASH_BASE + reset) | 1);
  image.vectors(2, (reset - 8) >> 2, (FLASH_BASE + reset + 0x20) | 1);
  image.put(reset - 8, SIGNATURE);
  // A short forward branch to stage two.
  image.put(reset, Uint8Array.of(0x0e, 0xe0));
  // PROTO_VERSION, then LAUNCH_APP_ADDRESS.
  image.word(size - 0x220, options.protocol === '1.0' ? 0x0001_0000 : 0x0001_0100);
  image.word(size - 0x21c, options.appAddress ?? APP_ADDRESS[mcu]);
  image.text(size - 0x1c0, mcu);
  if (options.protocol !== '1.0') image.text(size - 0x1a0, version);
  if (transport === 'usb') image.utf16(size - 0x160, 'katapult');
  return seal(image, FLASH_BASE, options.crystalHz ?? CRYSTAL_HZ[mcu]);
}

const DEPLOYER_SIZE: Readonly<Record<ForgeMcu, number>> = {
  stm32f446xx: 6684,
  stm32f429xx: 6484,
  stm32f407xx: 6484,
  stm32h723xx: 7672,
};

/** An application that writes the Katapult inside it over the bootloader that started it. */
export function forgeDeployer(options: ForgeDeployer): Uint8Array {
  const mcu = forgeMcu(options.mcu);
  const link = options.linkAddress ?? APP_ADDRESS[mcu];
  const katapult = forgeKatapult(options);
  const image = new ForgedImage(DEPLOYER_SIZE[mcu], options.seed ?? 3, `deployer ${mcu} ${link}`);
  const stackTop = mcu === 'stm32h723xx' ? 0x2402_0000 : 0x2002_0000;
  image.word(0, stackTop);
  image.word(4, (link + 8) | 1);
  image.put(8, RESET_HANDLER);
  image.word(20, stackTop);
  image.word(24, (link + 0x80) | 1);
  image.put(DEPLOYER_KATAPULT_AT, katapult);
  return seal(image, link, options.crystalHz ?? CRYSTAL_HZ[mcu]);
}
const DEPLOYER_KATAPULT_AT = 0x400;

const STOCK: Readonly<
  Record<ForgeMcu, { readonly stackTop: number; readonly reset: number; readonly sizeBytes: number }>
> = {
  stm32f407xx: { stackTop: 0x2000_47e8, reset: 0x0800_01a9, sizeBytes: 30760 },
  stm32f446xx: { stackTop: 0x2000_4be8, reset: 0x0800_01e1, sizeBytes: 32464 },
  stm32f429xx: { stackTop: 0x2000_47e8, reset: 0x0800_01c9, sizeBytes: 28944 },
  stm32h723xx: { stackTop: 0x2400_0738, reset: 0x0800_02ed, sizeBytes: 27216 },
};

/** BIGTREETECH's SD card bootloader. */
export function forgeStockBootloader(options: { mcu: string; seed?: number }): Uint8Array {
  const mcu = forgeMcu(options.mcu);
  const { stackTop, reset, sizeBytes } = STOCK[mcu];
  const image = new ForgedImage(sizeBytes, options.seed ?? 4, `stock ${mcu}`);
  image.word(0, stackTop);
  image.word(4, reset);
  image.vectors(2, 98, reset + 8);
  image.put(reset - 1 - FLASH_BASE, Uint8Array.of(0x06, 0x48, 0x80, 0x47));
  image.text(sizeBytes - 0x340, 'FIRMWARE.CUR');
  image.text(sizeBytes - 0x320, 'firmware.bin');
  image.text(sizeBytes - 0x300, 'admin.txt');
  return seal(image, FLASH_BASE, CRYSTAL_HZ[mcu]);
}

function seal(image: ForgedImage, link: number, crystalHz: number): Uint8Array {
  const bytes = image.finish();
  plantSeal(bytes, link, crystalHz);
  return bytes;
}
