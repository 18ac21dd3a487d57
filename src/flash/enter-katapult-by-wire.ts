// Route `double-reset`: Katapult's double click on the reset button, by wire. It also brings a Katapult that hangs back.
// Katapult takes a second reset 10 to 500 ms after the *boot* for a wish to stay (src/bootentry.c). The boot comes when the
// capacitor on reset has risen, 4 ms to 6 s after the line was let go: so the gap between the pulses is what is searched.
import { OctopusError } from '../errors.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import type { UsbArrival } from './arrival.ts';
import type { BoardMemory } from './board-memory.ts';
import type { Kit } from './kit.ts';
import { HOLD_MIN_MS, type BoardLines } from './lines.ts';
import { holdReset } from './reset-pulse.ts';
import { sameVisit, usbKind, waitForUsb } from './watch-usb.ts';

/** The middle of the window, over the rise. */
const OVER_THE_RISE_MS = 250;
/** A step of the sweep: less than the window is wide, so that no rise falls between two gaps. */
const STEP_MS = 450;
/** 100 uF against 50 kOhm (design, "Lines"). */
const MAX_RISE_MS = 6_000;
/** Katapult was seen 300 to 500 ms after its start; the application that comes instead needs its half second before. */
const SHOWS_WITHIN_MS = 3_000;

export interface DoubleReset extends UsbArrival {
  /** Between the release of the first pulse and the second one, ms: what worked. */
  readonly gapMs: number;
}

/** Throws `no-device` with what was seen, `two-boards-alike`. Both lines float in every ending. */
export async function enterKatapultByWire(
  kit: Pick<Kit, 'usb' | 'clock'>,
  lines: BoardLines,
  memory: BoardMemory,
  signal?: AbortSignal,
): Promise<DoubleReset> {
  let lastSeen: UsbDeviceInfo | undefined;
  let boardPath = memory.busPath;
  try {
    for (const gapMs of gaps(memory)) {
      const before = await kit.usb.list();
      const left = await holdReset(kit, lines, before, { boot0: 'floating' }, signal);
      if (left.length > 1) throw twins(left);
      boardPath = left[0]?.busPath ?? boardPath;
      if (boardPath === undefined) throw neverLeft();
      await secondPulse(kit, lines, gapMs, signal);
      const releasedAt = kit.clock.now();
      const device = await waitForUsb(
        kit,
        (now) => now.find((one) => one.busPath === boardPath && isNew(one, before) && isComplete(one)),
        SHOWS_WITHIN_MS,
        signal,
      );
      if (device !== undefined && usbKind(device) === 'katapult') {
        const appearedAfterMs = kit.clock.now() - releasedAt;
        return { kind: 'katapult', device, before: left[0], appearedAfterMs, gapMs };
      }
      lastSeen = device ?? lastSeen;
    }
  } finally {
    await lines.set({ boot0: 'floating', nrst: 'floating' });
  }
  throw noKatapult(boardPath ?? '', lastSeen);
}

/** What worked before, or from the fastest rise to the slowest that this board's times leave possible. */
function gaps({ doubleResetGapMs, romAppearsMs }: BoardMemory): readonly number[] {
  // From releasing reset to the ROM on USB: the rise is a part of it.
  const slowest = Math.min(romAppearsMs ?? MAX_RISE_MS, MAX_RISE_MS);
  const sweep: number[] = [];
  for (let gapMs = OVER_THE_RISE_MS; gapMs <= slowest + STEP_MS; gapMs += STEP_MS) sweep.push(gapMs);
  return doubleResetGapMs === undefined ? sweep : [doubleResetGapMs, ...sweep];
}

async function secondPulse(
  { clock }: Pick<Kit, 'clock'>,
  lines: BoardLines,
  gapMs: number,
  signal?: AbortSignal,
): Promise<void> {
  await lines.set({ nrst: 'floating' });
  await clock.sleep(gapMs, signal);
  await lines.set({ nrst: 'low' });
  await clock.sleep(HOLD_MIN_MS, signal);
  await lines.set({ nrst: 'floating' });
}

function isNew(device: UsbDeviceInfo, before: readonly UsbDeviceInfo[]): boolean {
  return !before.some((old) => sameVisit(old, device));
}

/** The serial node of a Katapult comes a moment after the device. */
function isComplete(device: UsbDeviceInfo): boolean {
  const kind = usbKind(device);
  return kind !== undefined && (kind !== 'katapult' || device.ttyPath !== undefined);
}

function noKatapult(busPath: string, seen: UsbDeviceInfo | undefined): OctopusError {
  const what = seen === undefined ? 'nothing came' : `${seen.product ?? 'something else'} came instead`;
  return new OctopusError('no-device', `two resets did not bring Katapult at USB ${busPath}: ${what}`, {
    place: `USB ${busPath}`,
    advice:
      'No Katapult lies on the board, it was built without the double reset, or it speaks CAN: flash by the ROM (both wires), or octopus backup to see what lies there.',
  });
}

function neverLeft(): OctopusError {
  return new OctopusError('no-device', 'no board left the bus when reset was pulled low', {
    place: 'reset wire',
    advice: 'Check the reset wire and its diode, and the USB cable: octopus wiring --test.',
  });
}

function twins(left: readonly UsbDeviceInfo[]): OctopusError {
  const paths = left.map(({ busPath }) => busPath).join(', ');
  return new OctopusError('two-boards-alike', `more than one board was reset at once: ${paths}`, {
    place: paths,
    advice: 'They hang on the same reset wire: unplug all but the one to be flashed.',
  });
}
