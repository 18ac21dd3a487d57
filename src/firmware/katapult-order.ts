// In which order Katapult must be sent the blocks of a plan, so that a torn write does not look like an application. Pure.
//
// Katapult starts whatever has a first word that is neither 0 nor 0xFFFFFFFF (src/generic/armcm_canboot.c,
// application_check_valid). It has no erase of its own: a page's first block erases the page where it is not blank
// (src/stm32/flash.c, flash_write_block), so the first bytes of a page cannot be written last. Hence: a first block that
// makes no application opens the application's first page; all other pages follow; the first page is written last, from
// its first block on. Where the application lies in one page, as on an H723, its first word is there from the first block
// on: nothing better is possible, and a torn write is got out of by a reset into Katapult (double reset, or by wire).
import { OctopusError, hex } from '../errors.ts';
import type { PlanSector, PlannedImage, WritePlan } from './plan.ts';

export interface KatapultStep {
  /** The erase page. It is erased where `blocks` begins, unless it is blank. */
  readonly page: PlanSector;
  /** `close`: only to make the old application invalid; what it writes is erased or written over by the last step. */
  readonly purpose: 'close' | 'write';
  /** Whole blocks by rising address, the page's first one first. Blank ones are left out behind it. */
  readonly blocks: readonly PlannedImage[];
}

const BLANK = 0xff;

/**
 * @param blockBytes Katapult's block
 * @param canOverwriteBlank whether a word that was programmed with ones can be programmed again, as on an F4. Where the
 *   flash has error correction (H7, G0) a word takes one programming per erase, so the closing block there is zeros, and
 *   the page is erased once more when its real first block comes.
 * Throws `wrong-address` where the plan has bytes outside the sectors it rewrites: nothing would erase them.
 */
export function orderForKatapult(
  plan: WritePlan,
  blockBytes: number,
  canOverwriteBlank: boolean,
): readonly KatapultStep[] {
  refuseStray(plan);
  const [first, ...others] = plan.erase;
  if (first === undefined) return [];
  const write = (page: PlanSector): KatapultStep => ({
    page,
    purpose: 'write',
    blocks: blocksOf(page, plan.write, blockBytes),
  });
  if (others.length === 0) return [write(first)];
  const closing = new Uint8Array(blockBytes).fill(canOverwriteBlank ? BLANK : 0);
  const close: KatapultStep = {
    page: first,
    purpose: 'close',
    blocks: [{ address: first.address, bytes: closing }],
  };
  return [close, ...others.map(write), write(first)];
}

/** The page's content, 0xFF where the plan has nothing. Its first block always, because only that one erases. */
function blocksOf(page: PlanSector, runs: readonly PlannedImage[], blockBytes: number): PlannedImage[] {
  const content = new Uint8Array(page.sizeBytes).fill(BLANK);
  for (const { address, bytes } of runs) {
    const from = Math.max(address, page.address);
    const to = Math.min(address + bytes.length, page.address + page.sizeBytes);
    if (from < to) content.set(bytes.subarray(from - address, to - address), from - page.address);
  }
  const blocks: PlannedImage[] = [];
  for (let at = 0; at < content.length; at += blockBytes) {
    const bytes = content.subarray(at, at + blockBytes);
    if (at === 0 || bytes.some((byte) => byte !== BLANK)) blocks.push({ address: page.address + at, bytes });
  }
  return blocks;
}

function refuseStray({ erase, write }: WritePlan): void {
  for (const { address, bytes } of write) {
    let covered = 0;
    for (const sector of erase) {
      const from = Math.max(address, sector.address);
      const to = Math.min(address + bytes.length, sector.address + sector.sizeBytes);
      covered += Math.max(0, to - from);
    }
    if (covered === bytes.length) continue;
    throw new OctopusError(
      'wrong-address',
      `the plan writes at ${hex(address)} where nothing was to be erased`,
      {
        place: hex(address),
        advice: 'This is a fault of octopus-flasher: please report it.',
      },
    );
  }
}
