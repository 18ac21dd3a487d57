// The whole flash, as far as the chip has it: a part with less than its name, its ROM and its board file say refuses what
// would lie behind its end. That ends the reading; it does not fail it.
import type { Mcu } from '../boards/types.ts';
import { OctopusError, hex } from '../errors.ts';
import type { Bootloader } from './bootloader.ts';
import { isCode } from './protection.ts';
import type { TornSectors } from './torn-sectors.ts';

export interface WholeFlash {
  /** From the flash's start on. */
  readonly bytes: Uint8Array;
  /** From where on the chip refuses to be read; null where it gave all that it claims. */
  readonly refusedFrom: number | null;
}

/** Throws what reading throws; a refusal that is not the end of the flash too. */
export async function readWhole(
  chip: Bootloader,
  { flashBase }: Mcu,
  torn: TornSectors,
  onBytes: (doneBytes: number) => void,
): Promise<WholeFlash> {
  const { flashSizeBytes } = chip.identity;
  try {
    return { bytes: await torn.read(chip, flashBase, flashSizeBytes, onBytes), refusedFrom: null };
  } catch (error) {
    const end = placeOf(error);
    if (end === undefined || end <= flashBase) throw error;
    await refuseAnotherEnd(chip, flashBase, end, error);
    const bytes = await torn.read(chip, flashBase, end - flashBase, onBytes);
    return { bytes, refusedFrom: end };
  }
}

/** In words, for whoever keeps less than was claimed. */
export function endNote(refusedFrom: number): string {
  return `The chip refuses to be read from ${hex(refusedFrom)} on: its flash ends there.`;
}

/** One refusal may be a bad moment on the wire, and a copy that ends too early would never be missed. */
async function refuseAnotherEnd(
  chip: Bootloader,
  flashBase: number,
  end: number,
  refusal: unknown,
): Promise<void> {
  const { transferSizeBytes, flashSizeBytes } = chip.identity;
  const last = flashBase + flashSizeBytes - transferSizeBytes;
  for (const address of new Set([end, last])) if (await isReadable(chip, address)) throw refusal;
}

async function isReadable(chip: Bootloader, address: number): Promise<boolean> {
  try {
    await chip.read(address, chip.identity.transferSizeBytes);
    return true;
  } catch (error) {
    if (isCode(error, 'dfu-status')) return false;
    throw error;
  }
}

function placeOf(error: unknown): number | undefined {
  return error instanceof OctopusError && error.code === 'dfu-status' ? Number(error.place) : undefined;
}
