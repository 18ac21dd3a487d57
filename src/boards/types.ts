// Boards and chips as data. A new board is a JSON file in `boards/`; a new chip one in `mcus/`.
import {
  array,
  boolean,
  enums,
  integer,
  nullable,
  number,
  object,
  optional,
  pattern,
  string,
  type Infer,
} from 'superstruct';

const Hex = pattern(string(), /^0x[0-9a-f]{8}$/);

/** Alternate setting 1 of the ROM, read as a whole. */
export const OptionBytesStruct = object({
  address: Hex,
  sizeBytes: integer(),
  /** Where in it the RDP byte stands. */
  readProtectionAt: integer(),
  /** Where the bits stand (u16, little endian) that are 0 for a write-protected sector, the first sector's lowest. */
  writeProtectionAt: integer(),
  /** The bit of the same word that makes read and write protection of them; null where there is none. */
  pcropBit: nullable(integer()),
});

/** As a Kconfig file has it, without `CONFIG_`: `MACH_STM32=y`. Klipper and Katapult call these the same. */
const KconfigLines = array(pattern(string(), /^[A-Z0-9_]+=(y|\d+)$/));

export const McuStruct = object({
  /** As Klipper's dictionary and Katapult's CONNECT write it: `stm32f446xx`. */
  name: string(),
  flashBase: Hex,
  /** Runs of equal sectors from flashBase on. */
  sectors: array(object({ count: integer(), sizeKib: integer() })),
  /** Its DfuSe ROM, as seen on real chips; absent where none was seen, or the chip has none (RP2040). */
  rom: optional(
    object({
      /** Memory maps this ROM was seen to show: DfuSe sector runs of alternate setting 0. */
      maps: array(string()),
      /** bcdDevice in DFU mode. */
      bcdDevice: integer(),
      /** The second GETSTATUS is held until the work is done: proven for this ROM generation. */
      holdsGetStatus: boolean(),
      /** A read makes the next write lose its first bytes (H723, real-silicon.md and facts 5). */
      readSpoilsNextWrite: boolean(),
      optionBytes: OptionBytesStruct,
    }),
  ),
  /** Running firmware that talks USB can start `rom` by itself; where false, only BOOT0 leads there. */
  romBySoftware: boolean(),
  /** Smallest unit the flash programs: images are padded to it. */
  programWordBytes: integer(),
  /** Unique id (12 bytes) and flash size (KiB, u16) registers of the reference manual; an RP2040 has neither in memory. */
  uidAddress: optional(Hex),
  flashSizeAddress: optional(Hex),
  /** Typical and worst erase times, ms, by sector size in KiB, and program time per byte, us: datasheet, x8 on an F4 or H7. */
  eraseMs: array(object({ sizeKib: integer(), typical: number(), worst: number() })),
  programUsPerByte: object({ typical: number(), worst: number() }),
  /** What a build for this chip needs: facts klipper-katapult-dfu.md section 1. */
  kconfig: object({
    chip: KconfigLines,
    /** Of the symbols that say where a program is linked; the offset from flashBase follows in hex: `8000`. */
    start: string(),
    /** Where one without a bootloader lies, from flashBase. */
    bareOffset: Hex,
    /** Of the symbols that say what Katapult launches; null where it can launch one address only. */
    launch: nullable(string()),
  }),
  source: string(),
});

/** The ways into a bootloader, as the routes that `src/flash/` knows are named. */
export const ROUTES = ['touch-1200', 'can-request', 'double-reset', 'boot0-nrst', 'by-hand'] as const;

export const BoardStruct = object({
  name: string(),
  title: string(),
  /** A mainboard is reached by USB and two wires, a toolhead by its CAN bus. */
  kind: enums(['mainboard', 'toolhead']),
  revision: string(),
  mcu: string(),
  /** Null where firmware for it runs on the chip's own oscillator. */
  crystalHz: nullable(integer()),
  /** Where the stock bootloader, and a Katapult in its place, launches the application. */
  applicationAddress: Hex,
  /** Heater outputs on pins that the ROM drives while it looks for a host. */
  heatersDrivenByRom: array(string()),
  /** Ways into its bootloader, in the order to be tried. */
  routes: array(enums(ROUTES)),
  /** How firmware for this board is built; absent where nobody has found out. What it has no lines for it cannot be. */
  kconfig: optional(
    object({
      clock: KconfigLines,
      usb: optional(KconfigLines),
      bridge: optional(KconfigLines),
      can: optional(KconfigLines),
    }),
  ),
  source: string(),
});

export type McuData = Infer<typeof McuStruct>;
type RomData = NonNullable<McuData['rom']>;
type BoardData = Infer<typeof BoardStruct>;

export interface Sector {
  readonly address: number;
  readonly sizeBytes: number;
}

export type BoardKind = BoardData['kind'];
export type RouteName = BoardData['routes'][number];

export interface OptionBytes extends Omit<RomData['optionBytes'], 'address'> {
  readonly address: number;
}
export interface RomFacts extends Omit<RomData, 'optionBytes'> {
  readonly optionBytes: OptionBytes;
}

export interface Mcu extends Omit<
  McuData,
  'flashBase' | 'sectors' | 'rom' | 'uidAddress' | 'flashSizeAddress'
> {
  readonly rom: RomFacts | undefined;
  readonly flashBase: number;
  readonly sectors: readonly Sector[];
  readonly uidAddress: number | undefined;
  readonly flashSizeAddress: number | undefined;
}

export interface Board extends Omit<BoardData, 'applicationAddress' | 'mcu'> {
  readonly mcu: Mcu;
  readonly applicationAddress: number;
}
