// virtual silicon: what a chip is, as data. The numbers are in `mcus/*.json`, each with its source.

/** Chips of the Octopus boards, in Klipper's spelling; their ROM is on the bench too. */
export type McuName = 'stm32f446xx' | 'stm32f429xx' | 'stm32f407xx' | 'stm32h723xx';
/** Chips of toolheads. Klipper calls both sizes of the G0B1 `stm32g0b1xx`. */
export type ToolheadChipName = 'stm32g0b1xb' | 'stm32g0b1xe' | 'stm32f072xb' | 'rp2040';

export interface FlashSector {
  readonly address: number;
  readonly sizeBytes: number;
}

export interface TypicalAndWorst {
  readonly typical: number;
  readonly worst: number;
}

/** Times in ms (erase, per sector size) and in microseconds (program, per unit of `programUnitBytes`). */
export interface FlashTimes {
  readonly eraseMsBySectorBytes: Readonly<Record<string, TypicalAndWorst>>;
  readonly massEraseMs: TypicalAndWorst;
  readonly programUnitBytes: number;
  readonly programUs: TypicalAndWorst;
}

/** FLASH_CR.PSIZE: how many bits the flash works on at once. */
export type FlashWidth = 'x8' | 'x32';

export interface MemoryRegion {
  readonly address: number;
  readonly sizeBytes: number;
}

export interface ChipSilicon {
  readonly name: McuName | ToolheadChipName;
  readonly family: 'f4' | 'h7' | 'g0' | 'f0' | 'rp2040';
  /** Where each number below comes from, by field name. */
  readonly sources: Readonly<Record<string, string>>;
  readonly flashBase: number;
  readonly sectors: readonly FlashSector[];
  /** Whole words only, once per erase: 32 bytes on H7, 8 on G0, 2 on F0. Others any byte, clearing bits only. */
  readonly writeOnceWordBytes?: number;
  /** What a second program of a word does: H7 spoils it (the default), others refuse and keep it. */
  readonly programmedAgain?: 'spoilt' | 'refused';
  /** Default true: a torn word has an ECC that does not fit. */
  readonly wordEcc?: boolean;
  /** Two banks of so many bytes: code in one runs while the other is erased. Default: one bank. */
  readonly bankBytes?: number;
  /** As the ROM drives it. */
  readonly times: FlashTimes;
  /** As a program drives it that sets the width itself; where a width is not named, `times` hold. */
  readonly timesByWidth?: Readonly<Partial<Record<FlashWidth, FlashTimes>>>;
  /** RAM, for judging a vector table's stack pointer. */
  readonly ram: readonly MemoryRegion[];
  /** The 96-bit unique identifier, as the core reads it; an RP2040's is in its flash chip. */
  readonly uidAddress?: number;
  /** A u16: flash size in KiB. */
  readonly flashSizeRegister?: number;
}

export interface McuSilicon extends ChipSilicon {
  readonly name: McuName;
  readonly family: 'f4' | 'h7';
  readonly uidAddress: number;
  readonly flashSizeRegister: number;
  readonly optionBytes: readonly MemoryRegion[];
  readonly otp?: MemoryRegion;
}

export function flashSizeBytes(mcu: ChipSilicon): number {
  return mcu.sectors.reduce((sum, sector) => sum + sector.sizeBytes, 0);
}

/** A part with less flash of the same die: its first `kib` KiB, whole sectors. */
export function smallerPart<Chip extends ChipSilicon>(chip: Chip, kib: number): Chip {
  const end = chip.flashBase + kib * 1024;
  return { ...chip, sectors: chip.sectors.filter((s) => s.address + s.sizeBytes <= end) };
}

/** The sector that contains `address`, or undefined where this chip has no flash. */
export function sectorAt(mcu: ChipSilicon, address: number): FlashSector | undefined {
  return mcu.sectors.find((s) => address >= s.address && address < s.address + s.sizeBytes);
}
