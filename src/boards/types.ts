// Boards and chips as data. A new board is a JSON file in `boards/`; a new chip one in `mcus/`.
import { array, boolean, enums, integer, number, object, pattern, string, type Infer } from 'superstruct';

const Hex = pattern(string(), /^0x[0-9a-f]{8}$/);

export const McuStruct = object({
  /** As Klipper's dictionary and Katapult's CONNECT write it: `stm32f446xx`. */
  name: string(),
  flashBase: Hex,
  /** Runs of equal sectors from flashBase on. */
  sectors: array(object({ count: integer(), sizeKib: integer() })),
  /** Memory maps this chip's ROM was seen to show: DfuSe sector runs of alternate setting 0. */
  romMaps: array(string()),
  /** bcdDevice of its ROM in DFU mode. */
  romBcdDevice: integer(),
  /** The second GETSTATUS is held until the work is done: proven for this ROM generation. */
  holdsGetStatus: boolean(),
  /** Smallest unit the flash programs: images are padded to it. */
  programWordBytes: integer(),
  /** A read makes the next write lose its first bytes (H723, real-silicon.md and facts 5). */
  readSpoilsNextWrite: boolean(),
  /** Unique id (12 bytes) and flash size (KiB, u16) registers of the reference manual. */
  uidAddress: Hex,
  flashSizeAddress: Hex,
  /** Typical and worst erase times, ms, by sector size in KiB, and program time per byte, us: datasheet, x8. */
  eraseMs: array(object({ sizeKib: integer(), typical: number(), worst: number() })),
  programUsPerByte: object({ typical: number(), worst: number() }),
  source: string(),
});

export const BoardStruct = object({
  name: string(),
  title: string(),
  revision: string(),
  mcu: string(),
  crystalHz: integer(),
  /** Where the stock bootloader, and a Katapult in its place, launches the application. */
  applicationAddress: Hex,
  /** Heater outputs on pins that the ROM drives while it looks for a host. */
  heatersDrivenByRom: array(string()),
  routes: array(enums(['boot0-nrst'])),
  source: string(),
});

type McuData = Infer<typeof McuStruct>;
type BoardData = Infer<typeof BoardStruct>;

export interface Sector {
  readonly address: number;
  readonly sizeBytes: number;
}

export interface Mcu extends Omit<McuData, 'flashBase' | 'sectors' | 'uidAddress' | 'flashSizeAddress'> {
  readonly flashBase: number;
  readonly sectors: readonly Sector[];
  readonly uidAddress: number;
  readonly flashSizeAddress: number;
}

export interface Board extends Omit<BoardData, 'applicationAddress' | 'mcu'> {
  readonly mcu: Mcu;
  readonly applicationAddress: number;
}
