// Virtual bench, firmware: synthetic images shaped like the real ones (klipper-katapult-dfu.md section 2).

import { OctopusError } from '../errors.ts';
import { BOOT2_BYTES, sealBoot2 } from './boot2.ts';
import {
  APP_ADDRESS,
  bootAddress,
  CRYSTAL_HZ,
  forgeMcu,
  ForgedImage,
  isToolheadMcu,
  type ForgeMcu,
  type OctopusMcu,
} from './forge-parts.ts';
import { forgeDictionary, type KlipperTransport } from './forge-dictionary.ts';
import { KATAPULT_SHAPES, KLIPPER_SHAPES, START_APP_WORDS } from './forge-shapes.ts';
import { plantSeal } from './seal.ts';

export type { ForgeMcu } from './forge-parts.ts';
export type { KlipperTransport } from './forge-dictionary.ts';

export interface ForgeKlipper {
  readonly mcu: string;
  /** Default: behind the bootloader. 0x08000000 for a bare one, 0x10000100 on an RP2040. */
  readonly linkAddress?: number;
  readonly version?: string;
  readonly transport?: KlipperTransport;
  /** Of the CAN bus; only a CAN node has it in its dictionary. */
  readonly canFrequency?: number;
  readonly sizeBytes?: number;
  /** The marks of a Klipper closer together than any build has them, for whoever counts transfers: 6 KiB are enough. */
  readonly isCompact?: boolean;
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
const FIRST_STAGE = [0x72, 0xb6, 0x02, 0x4b, 0x02, 0x4a, 0x9d, 0x46, 0x10, 0x47] as const;
const SIGNATURE = Uint8Array.from(Buffer.from('CanBoot!', 'latin1'));

const COMPACT_BYTES = 6 * 1024;
const COMPACT_AT = { literal: 0x480, signature: 0x4c0, name: 0x500 } as const;
const COMPACT = { reset: [0x400, 0x400], dictionaryAt: { usb: 0x600, bridge: 0x600, can: 0x600 } } as const;

export function forgeKlipper(options: ForgeKlipper): Uint8Array {
  const mcu = forgeMcu(options.mcu);
  const link = options.linkAddress ?? APP_ADDRESS[mcu];
  const bare = link === bootAddress(mcu);
  const transport = options.transport ?? 'usb';
  const version = options.version ?? NEW_KLIPPER;
  const seed = options.seed ?? 1;
  const isCompact = options.isCompact === true && KLIPPER_SHAPES[mcu].copied === undefined;
  const shape = isCompact ? { ...KLIPPER_SHAPES[mcu], ...COMPACT } : KLIPPER_SHAPES[mcu];
  const size = options.sizeBytes ?? (isCompact ? COMPACT_BYTES : shape.sizes[transport][bare ? 1 : 0]);
  const image = new ForgedImage(size, seed, `klipper ${mcu} ${version} ${transport} ${link}`);
  const dictionary = forgeDictionary({
    mcu,
    version,
    transport,
    canFrequency: options.canFrequency ?? 1_000_000,
    seed,
  });
  const { stackTop, copied, vectors } = shape;
  const reset = shape.reset[bare ? 1 : 0];
  const dictionaryAt = shape.dictionaryAt[transport];
  image.word(0, stackTop);
  image.word(4, (link + reset) | 1);
  image.vectors(2, vectors, (copied === undefined ? link + reset + 0x40 : copied.to + 0x2000) | 1);
  image.put(reset, Uint8Array.of(...FIRST_STAGE, ...shape.behindFirstStage));
  image.word(reset + 12, stackTop);
  image.word(reset + 16, (link + reset + (copied === undefined ? -0x180 : 0x14)) | 1);
  if (copied === undefined) {
    image.word(isCompact ? COMPACT_AT.literal : 0x5a10, link + dictionaryAt);
    copyOfData(image, reset - 0x180, { base: link, size, atLeast: 0x40 });
  } else {
    // Stage two copies what follows to RAM; the code there reaches the dictionary where it then lies.
    image.put(reset + 0x14, loads(reset + 0x14, 0x270, 3));
    image.word(0x270, copied.to + size - copied.from);
    image.word(0x274, copied.to);
    image.word(0x278, link + copied.from);
    image.word(0x2430, copied.to + dictionaryAt - copied.from);
  }
  // Every offset build holds the signature as a literal, since it looks for a Katapult before it.
  if (!bare) image.put(isCompact ? COMPACT_AT.signature : 0x61c0, SIGNATURE);
  if (transport !== 'can') image.utf16(isCompact ? COMPACT_AT.name : 0x6200, 'Klipper');
  image.put(dictionaryAt, dictionary);
  const body = seal(image, link, options.crystalHz ?? CRYSTAL_HZ[mcu]);
  return bare ? withBoot2(mcu, body) : body;
}

export function forgeKatapult(options: ForgeKatapult): Uint8Array {
  const mcu = forgeMcu(options.mcu);
  const transport = options.transport ?? 'usb';
  const version = options.version ?? KATAPULT_VERSION;
  const shape = KATAPULT_SHAPES[mcu];
  const base = bootAddress(mcu);
  const reset = shape[transport];
  const size = shape.sizes[transport === 'usb' ? 0 : 1];
  const app = options.appAddress ?? APP_ADDRESS[mcu];
  const image = new ForgedImage(size, options.seed ?? 2, `katapult ${mcu} ${version} ${transport}`);
  image.word(0, shape.stackTop);
  image.word(4, (base + reset) | 1);
  image.vectors(2, (reset - 8) >> 2, (base + reset + 0x20) | 1);
  image.put(reset - 8, SIGNATURE);
  const { stageTwo } = shape;
  // A short forward branch to stage two.
  image.put(reset, stageTwo === undefined ? Uint8Array.of(0x0e, 0xe0) : branch(reset, stageTwo));
  if (stageTwo === undefined) {
    // Its .data is empty: the image ends where that would begin.
    copyOfData(image, reset + 0x20, { base, size, atLeast: 0 });
  } else {
    const literals = [shape.stackTop, ...START_APP_WORDS, app, app + 4];
    for (const [index, word] of literals.entries()) image.word(stageTwo + 0x44 + 4 * index, word);
  }
  // PROTO_VERSION, then LAUNCH_APP_ADDRESS.
  image.word(size - 0x220, options.protocol === '1.0' ? 0x0001_0000 : 0x0001_0100);
  image.word(size - 0x21c, app);
  image.text(size - 0x1c0, mcu);
  if (options.protocol !== '1.0') image.text(size - 0x1a0, version);
  if (transport === 'usb') image.utf16(size - 0x160, 'katapult');
  else image.word(size - 0x160, CAN_CONTROLLER[mcu]);
  return withBoot2(mcu, seal(image, base, options.crystalHz ?? CRYSTAL_HZ[mcu]));
}

/** SRAM or DTCM of every STM32 here: where .data lies while the program runs. */
const RAM_START = 0x2000_0000;

/**
 * Stage two copies .data, the last thing in the image, to RAM: it loads both its ends there and then its copy in flash, a
 * word's multiple (src/generic/armcm_boot.c; armcm_canboot.c of Katapult).
 */
function copyOfData(
  image: ForgedImage,
  stageTwo: number,
  data: { readonly base: number; readonly size: number; readonly atLeast: number },
): void {
  const bytes = data.atLeast + (data.size % 4);
  const literals = [RAM_START + bytes, RAM_START, data.base + data.size - bytes];
  image.put(stageTwo, loads(stageTwo, stageTwo + 0x40, literals.length));
  // Nothing else is loaded before them: the filler in between is no code.
  image.put(stageTwo + 2 * literals.length, new Uint8Array(0x40 - 2 * literals.length));
  for (const [index, word] of literals.entries()) image.word(stageTwo + 0x40 + 4 * index, word);
}

/** FDCAN1 or CAN1 (RM0390, RM0090, RM0468, RM0444, RM0091); an RP2040's is made of its PIO0. */
const CAN_CONTROLLER: Readonly<Record<ForgeMcu, number>> = {
  stm32f407xx: 0x4000_6400,
  stm32f429xx: 0x4000_6400,
  stm32f446xx: 0x4000_6400,
  stm32h723xx: 0x4000_a000,
  stm32g0b1xx: 0x4000_6400,
  stm32f072xb: 0x4000_6400,
  rp2040: 0x5020_0000,
};

/** ldr r0, r1, ... of the words from `literals` on (ARMv6-M architecture reference manual, A6.7.27). */
function loads(at: number, literals: number, count: number): Uint8Array {
  const code: number[] = [];
  for (let register = 0; register < count; register++) {
    const here = (at + 2 * register + 4) & ~3;
    code.push((literals + 4 * register - here) >> 2, 0x48 | register);
  }
  return Uint8Array.from(code);
}

/** b.n, encoding T2 (ARMv6-M architecture reference manual, A6.7.10), and a nop. */
function branch(from: number, to: number): Uint8Array {
  const offset = (to - from - 4) >> 1;
  return Uint8Array.of(offset & 0xff, 0xe0 | ((offset >> 8) & 0x07), 0xc0, 0x46);
}

/** What starts at the very beginning of an RP2040's flash. */
function withBoot2(mcu: ForgeMcu, body: Uint8Array): Uint8Array {
  if (mcu !== 'rp2040') return body;
  const stage = new ForgedImage(BOOT2_BYTES, 5, 'boot2').finish();
  return Uint8Array.of(...sealBoot2(stage), ...body);
}

/** An application that writes the Katapult inside it over the bootloader that started it. */
export function forgeDeployer(options: ForgeDeployer): Uint8Array {
  const mcu = forgeMcu(options.mcu);
  const link = options.linkAddress ?? APP_ADDRESS[mcu];
  const katapult = forgeKatapult(options);
  const size = KATAPULT_SHAPES[mcu].deployerSizes[options.transport === 'can' ? 1 : 0];
  const image = new ForgedImage(size, options.seed ?? 3, `deployer ${mcu} ${link}`);
  const stackTop = mcu === 'stm32h723xx' ? 0x2402_0000 : KLIPPER_SHAPES[mcu].stackTop;
  image.word(0, stackTop);
  image.word(4, (link + 8) | 1);
  image.put(8, Uint8Array.of(...FIRST_STAGE, ...KLIPPER_SHAPES[mcu].behindFirstStage));
  image.word(20, stackTop);
  image.word(24, (link + 0x80) | 1);
  image.put(DEPLOYER_KATAPULT_AT, katapult);
  return seal(image, link, options.crystalHz ?? CRYSTAL_HZ[mcu]);
}
const DEPLOYER_KATAPULT_AT = 0x400;

interface StockShape {
  readonly stackTop: number;
  readonly reset: number;
  readonly sizeBytes: number;
  /** 16 of the core, and the interrupts of RM0090, RM0390 and RM0468. */
  readonly vectors: number;
}
const STOCK: Readonly<Record<OctopusMcu, StockShape>> = {
  stm32f407xx: { stackTop: 0x2000_47e8, reset: 0x0800_01a9, sizeBytes: 30760, vectors: 98 },
  stm32f446xx: { stackTop: 0x2000_4be8, reset: 0x0800_01e1, sizeBytes: 32464, vectors: 113 },
  stm32f429xx: { stackTop: 0x2000_47e8, reset: 0x0800_01c9, sizeBytes: 28944, vectors: 107 },
  stm32h723xx: { stackTop: 0x2400_0738, reset: 0x0800_02ed, sizeBytes: 27216, vectors: 179 },
};
/** How far before its end it has the address that it starts: four words, the same in all published ones for an F4. */
const STOCK_LAUNCHES = [0x2d50, 0x27a8, 0x2420, 0x78] as const;

/** BIGTREETECH's SD card bootloader. */
export function forgeStockBootloader(options: { mcu: string; seed?: number }): Uint8Array {
  const mcu = forgeMcu(options.mcu);
  if (isToolheadMcu(mcu))
    throw new OctopusError('bad-parameter', `no stock bootloader of a ${mcu} is known`, {
      advice: 'Toolheads come with Katapult, or with none.',
    });
  const { stackTop, reset, sizeBytes, vectors } = STOCK[mcu];
  const image = new ForgedImage(sizeBytes, options.seed ?? 4, `stock ${mcu}`);
  image.word(0, stackTop);
  image.word(4, reset);
  image.vectors(2, vectors, reset + 8);
  image.put(reset - 1 - bootAddress(mcu), Uint8Array.of(0x06, 0x48, 0x80, 0x47));
  for (const before of STOCK_LAUNCHES) image.word(sizeBytes - before, APP_ADDRESS[mcu]);
  image.text(sizeBytes - 0x340, 'FIRMWARE.CUR');
  image.text(sizeBytes - 0x320, 'firmware.bin');
  image.text(sizeBytes - 0x300, 'admin.txt');
  return seal(image, bootAddress(mcu), CRYSTAL_HZ[mcu]);
}

function seal(image: ForgedImage, link: number, crystalHz: number): Uint8Array {
  const bytes = image.finish();
  plantSeal(bytes, link, crystalHz);
  return bytes;
}
