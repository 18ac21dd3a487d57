// A sector that cannot be written was found when others may have been erased: they get back what they held, so that the old
// firmware boots.
import type { PlannedImage } from '../firmware/plan.ts';
import { stateOf } from './boot-without-wires.ts';
import type { Bootloader } from './bootloader.ts';
import type { Look } from './look.ts';
import { isCode } from './protection.ts';
import type { Visit } from './stay.ts';
import type { Stopwatch } from './stopwatch.ts';
import { owedTo, writeAndVerify, type ImagePlan } from './write-image.ts';

/** Katapult has looked into the flash itself, and says only that the block is not there. */
export function isRefusedByFlash(error: unknown, { kind }: Pick<Bootloader, 'kind'>): boolean {
  return isCode(error, 'write-protected') || (kind === 'katapult' && isCode(error, 'verify-failed'));
}

/**
 * @param look of before the job: all of the plan's sectors could be read then
 * Throws what writing throws; then the board is torn, and its backup is kept.
 */
export async function putBack(
  plan: ImagePlan,
  look: Look,
  chip: Bootloader,
  visit: Visit,
  watch: Stopwatch,
): Promise<void> {
  const { torn } = visit;
  const before: PlannedImage = { address: plan.image.address, bytes: look.current };
  const old = { ...plan, image: before };
  const seen = await torn.read(chip, before.address, before.bytes.length);
  const owed = owedTo(old, chip, torn, seen);
  if (owed.erase.length > 0) {
    watch.note('A sector cannot be written: what was erased beside it gets back what it held.');
    await writeAndVerify(old, owed, { verify: true }, chip, torn, watch);
  }
  const state = stateOf(look);
  visit.application = () => state;
  const what =
    owed.erase.length > 0 ? 'What lay there before was put back and read back' : 'The board was not changed';
  watch.onBoard = state === 'whole' ? `${what}: its old firmware is whole.` : `${what}.`;
}
