// A board without a reset wire leaves its bootloader by the bootloader's own word, and only into firmware that is whole:
// Katapult's COMPLETE jumps through whatever lies there, without a look at it (src/generic/armcm_canboot.c).
import type { Board } from '../boards/types.ts';
import { asOctopusError } from '../errors.ts';
import type { Bootloader } from './bootloader.ts';
import type { Look } from './look.ts';
import type { Stopwatch } from './stopwatch.ts';

/** What lies where the bootloader would start it. */
export type ApplicationState = 'whole' | 'unknown' | 'torn';

/** Whether it left. Never throws: a board that stays in its bootloader is told, and harmed by nothing. */
export async function bootWithoutWires(
  chip: Bootloader,
  { mcu, name }: Board,
  application: ApplicationState,
  watch: Stopwatch,
): Promise<boolean> {
  if (application !== 'whole') {
    watch.note(
      `${name} stays in its bootloader: ${application === 'torn' ? 'its firmware is not whole' : 'whether its firmware is whole is not known'}. Flash it again.`,
    );
    return false;
  }
  watch.begin('boot');
  const { launchAddress } = chip.identity;
  try {
    // From the flash's start on, as a reset would: through the bootloader that lies there.
    await chip.boot(launchAddress ?? mcu.flashBase);
    return true;
  } catch (thrown) {
    watch.note(
      `${name} did not leave its bootloader (${asOctopusError(thrown).message}): press its reset button.`,
    );
    return false;
  }
}

/** Whether what lies on the chip now would run. */
export function stateOf({ atBase, application }: Pick<Look, 'atBase' | 'application'>): ApplicationState {
  const isWhole = [atBase, application].some(({ kind, damage }) => kind === 'klipper' && damage === null);
  return isWhole ? 'whole' : 'unknown';
}
