// What a chip is, as data: `mcus/*.json` beside this file, each number with its source.

export interface FlashSector {
  readonly address: number;
  readonly sizeBytes: number;
}

/** Times in ms (erase, per sector size) and in microseconds (program, per unit of `programUnitBytes`). */
export interface FlashTimes {
  readonly eraseMsBySectorBytes: Readonly<Record<string, { readonly typical: number; readonly worst: number }>>;
  readonly massEraseMs: { readonly typical: number; readonly worst: number };
  readonly programUnitBytes: number;
  readonly programUs: { readonly typical: number; readonly worst: number };
}

export interface McuSilicon {
  readonly name: string;
  readonly family: 'f4' | 'h7';
  readonly flashBase: number;
  readonly sectors: readonly FlashSector[];
  /** H7 programs whole words of 32 bytes, once per erase; F4 any byte, clearing bits only. */
  readonly writeOnceWordBytes?: number;
  readonly times: FlashTimes;
  /** RAM, for judging a vector table's stack pointer. */
  readonly ram: readonly { readonly address: number; readonly sizeBytes: number }[];
}
