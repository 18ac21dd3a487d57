// virtual silicon: what a chip is, as data. The numbers are in `mcus/*.json`, each with its source.

export type McuName = 'stm32f446xx' | 'stm32f429xx' | 'stm32f407xx' | 'stm32h723xx';

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

export interface McuSilicon {
  readonly name: McuName;
  readonly family: 'f4' | 'h7';
  /** Where each number below comes from, by field name. */
  readonly sources: Readonly<Record<string, string>>;
  readonly flashBase: number;
  readonly sectors: readonly FlashSector[];
  /** H7 programs whole words of 32 bytes, once per erase; F4 any byte, clearing bits only. */
  readonly writeOnceWordBytes?: number;
  /** As the ROM drives it. */
  readonly times: FlashTimes;
  /** As a program drives it that sets the width itself; where a width is not named, `times` hold. */
  readonly timesByWidth?: Readonly<Partial<Record<FlashWidth, FlashTimes>>>;
  /** RAM, for judging a vector table's stack pointer. */
  readonly ram: readonly MemoryRegion[];
  /** The 96-bit unique identifier, as the core reads it. */
  readonly uidAddress: number;
  /** A u16: flash size in KiB. */
  readonly flashSizeRegister: number;
  readonly optionBytes: readonly MemoryRegion[];
  readonly otp?: MemoryRegion;
}

export function flashSizeBytes(mcu: McuSilicon): number {
  return mcu.sectors.reduce((sum, sector) => sum + sector.sizeBytes, 0);
}

/** The sector that contains `address`, or undefined where this chip has no flash. */
export function sectorAt(mcu: McuSilicon, address: number): FlashSector | undefined {
  return mcu.sectors.find((s) => address >= s.address && address < s.address + s.sizeBytes);
}
