// A board that was let go by its bootloader's own word runs; whether it starts by itself when it is switched on nobody has
// seen then (a jumper may still be fitted, the flash's start may be empty). So its owner is asked for that start.
import type { ExpectedBoot } from './expected-boot.ts';
import type { Kit } from './kit.ts';
import type { Stopwatch } from './stopwatch.ts';
import type { Seat } from './visit.ts';
import { sameVisit, usbKind, waitForUsb } from './watch-usb.ts';

/** Whoever has just pressed a button at the printer is still there. */
const OWNER_MS = 90_000;

/** Notes what came of it: a start that nobody made is no failure of the flash. */
export async function askForColdStart(
  kit: Pick<Kit, 'clock' | 'usb'>,
  board: string,
  { busPath }: Pick<Seat, 'busPath'>,
  { usb }: ExpectedBoot,
  watch: Stopwatch,
): Promise<void> {
  if (usb === null) return;
  const before = (await kit.usb.list()).find((device) => device.busPath === busPath);
  watch.note(
    `${board} runs. That it also starts by itself only a cold start proves: take the BOOT0 jumper off and press the reset button, or switch the board off and on. Waiting for it for ${OWNER_MS / 1000} s.`,
  );
  let wasJumper = false;
  const back = await waitForUsb(
    kit,
    (now) => {
      const device = now.find((one) => one.busPath === busPath && usbKind(one) !== undefined);
      if (device === undefined || (before !== undefined && sameVisit(device, before))) return undefined;
      wasJumper ||= usbKind(device) === 'romDfu';
      return usbKind(device) === usb ? device : undefined;
    },
    OWNER_MS,
  );
  if (back !== undefined) watch.note('The cold start was seen: the board starts by itself.');
  else if (wasJumper) watch.note('It came back in DFU mode: the BOOT0 jumper is still on. Take it off.');
  else
    watch.note('No cold start was seen: make one before the next print, and see whether Klipper connects.');
}
