// Writing where nobody knows which sectors are write-protected: the ROM takes an erase of such a sector and reports nothing
// (AN2662 4.5.3), so what was erased is looked at before anything is written, the first sector before any other is erased.
// Until then the old firmware is whole, or what is gone of it can be put back.
import { equalBytes, type PlannedImage, type PlanSector, type WritePlan } from '../firmware/plan.ts';
import { ERASED } from '../firmware/flatten.ts';
import type { Bootloader, WriteHooks } from './bootloader.ts';
import { writeProtected } from './protection.ts';
import type { TornSectors } from './torn-sectors.ts';

/** A look is as long as the longest word that a flash programs at once, twice: enough to see that it was erased. */
const LOOK_BYTES = 64;

/**
 * As `chip.write`, with those looks. A plan of one sector needs none: protected, it changes nothing.
 * @param before what lay there before the first write of this job
 * Throws `write-protected`.
 */
export async function writeWatchfully(
  chip: Bootloader,
  plan: WritePlan,
  before: PlannedImage,
  torn: TornSectors,
  hooks: WriteHooks,
): Promise<void> {
  const [first, ...others] = plan.erase;
  if (first === undefined || others.length === 0) return chip.write(plan, hooks);
  const last = others.at(-1);
  const refuseUnerased = async (sectors: readonly PlanSector[]): Promise<void> => {
    const unerased: PlanSector[] = [];
    for (const sector of sectors) if (!(await isErased(chip, sector, before, torn))) unerased.push(sector);
    if (unerased.length > 0) throw writeProtected(unerased, 'it was erased, and still holds what it held');
  };
  return chip.write(plan, {
    ...hooks,
    erased: async (sector) => {
      if (sector === first) await refuseUnerased([first]);
      if (sector === last) await refuseUnerased(others);
    },
  });
}

/**
 * The sectors of `plan` that hold what they held although they were erased and written with something else.
 * @param seen what the chip holds now, from the image's address on
 */
export function unchangedIn(
  plan: WritePlan,
  before: PlannedImage,
  image: PlannedImage,
  seen: Uint8Array,
): readonly PlanSector[] {
  return plan.erase.filter((sector) => {
    const from = sector.address - image.address;
    const part = (bytes: Uint8Array) =>
      bytes.subarray(from, Math.min(from + sector.sizeBytes, image.bytes.length));
    const now = part(seen);
    return equalBytes(now, part(before.bytes)) && !equalBytes(now, part(image.bytes));
  });
}

/** Where something lay: what was blank before shows nothing. A sector that could not be read is not read now either. */
async function isErased(
  chip: Bootloader,
  sector: PlanSector,
  before: PlannedImage,
  torn: TornSectors,
): Promise<boolean> {
  const from = sector.address - before.address;
  const held = before.bytes.subarray(from, from + sector.sizeBytes);
  const at = held.findIndex((byte) => byte !== ERASED);
  if (at < 0 || torn.has(sector)) return true;
  const bytes = await chip.read(sector.address + at - (at % LOOK_BYTES), LOOK_BYTES);
  return bytes.every((byte) => byte === ERASED);
}
