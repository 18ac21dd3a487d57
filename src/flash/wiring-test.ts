// Proves the two wires, one after the other, and measures this board's times: octopus wiring --test.
// Reset alone: it must leave and come back as it was. BOOT0 with reset: it must come as DFU. Back again. Then ever
// shorter pulses tell how long reset must be held with what hangs on this line.
import { OctopusError } from '../errors.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import { recall, remember } from './board-memory.ts';
import { enterRomByWire } from './enter-rom-by-wire.ts';
import { passHeaters, withHeatersOff } from './heaters.ts';
import { HOLD_MIN_MS, withLines, type BoardLines } from './lines.ts';
import { pulseReset } from './reset-pulse.ts';
import type { Report } from './report.ts';
import { watched, type Stopwatch } from './stopwatch.ts';
import type { WiredOrder } from './place.ts';
import { passGate, withKlipperStopped } from './klipper-stopped.ts';
import type { VisitKit } from './stay.ts';
import { sameVisit, usbKind, waitForUsb, type UsbKind } from './watch-usb.ts';

export interface WiringProof {
  readonly busPath: string;
  /** What runs there with BOOT0 floating; null for firmware that is not on USB. */
  readonly runs: UsbKind | null;
  /** The shortest reset pulse that reset the board, ms; null where it could not be told. */
  readonly resetHoldMs: number | null;
  /** From releasing reset to the ROM on USB, and to the firmware on USB, ms. */
  readonly romAppearsMs: number;
  readonly applicationAppearsMs: number | null;
  readonly notes: readonly string[];
}

/** A board whose times nobody knows: as on first contact. */
const APPEARS_WITHIN_MS = 10_000;
/** A board that was reset has left the bus by then: the host looks for a gone device every few milliseconds. */
const LEAVES_WITHIN_MS = 1_000;
/** Each three times the one before; the walk itself never holds for less than HOLD_MIN_MS. */
const PULSES_MS = [1, 3, 10, 30, HOLD_MIN_MS] as const;

/** Throws what it found: which wire, jumper or capacitor. The flash is not touched. */
export async function testWiring(
  kit: VisitKit,
  order: WiredOrder,
  report: Report,
  signal?: AbortSignal,
): Promise<WiringProof> {
  return watched(kit.clock, report, async (watch) => {
    const { board, pins } = order.place;
    await passGate(kit, order.confirm, watch);
    passHeaters(order.place, order.confirm, watch);
    watch.onBoard = 'The board was not changed, only reset.';
    const isInRom = async () => (await kit.usb.list()).some((device) => usbKind(device) === 'romDfu');
    return await withKlipperStopped(kit, order, watch, signal, () =>
      withHeatersOff(
        kit,
        order.place,
        watch,
        () =>
          withLines(kit, pins, async (lines) => {
            const proof = await prove(kit, lines, board.name, watch, signal);
            const { busPath, romAppearsMs, applicationAppearsMs } = proof;
            const known = applicationAppearsMs === null ? {} : { applicationAppearsMs };
            const hold = proof.resetHoldMs === null ? {} : { resetHoldMs: proof.resetHoldMs };
            await remember(kit, board.name, { busPath, romAppearsMs, ...known, ...hold });
            return { ...proof, notes: watch.notes };
          }),
        isInRom,
      ),
    );
  });
}

async function prove(
  kit: VisitKit,
  lines: BoardLines,
  board: string,
  watch: Stopwatch,
  signal: AbortSignal | undefined,
): Promise<Omit<WiringProof, 'notes'>> {
  const memory = await recall(kit, board);
  watch.begin('boot');
  const first = await resetAlone(kit, lines, signal);
  if (first === undefined)
    watch.note(
      'Nothing left the bus at a reset: what runs on the board is not on USB, so BOOT0 has to tell.',
    );
  watch.begin('enter');
  // What was learnt earlier must not shorten the waiting: it is what is measured.
  const entered = await enterRomByWire(kit, lines, { ...memory, romAppearsMs: undefined }, signal);
  const { busPath } = entered.device;
  watch.begin('confirm');
  await pulseReset(kit, lines, signal);
  const releasedAt = kit.clock.now();
  const back = await waitForUsb(kit, (now) => boardAt(now, busPath), APPEARS_WITHIN_MS, signal);
  if (back !== undefined && usbKind(back) === 'romDfu') throw stillRom(busPath);
  if (back === undefined && first !== undefined) throw notBack(busPath);
  const applicationAppearsMs = back === undefined ? null : kit.clock.now() - releasedAt;
  const resetHoldMs = back === undefined ? null : await shortestPulse(kit, lines, back, signal);
  return {
    busPath,
    runs: (back && usbKind(back)) ?? null,
    resetHoldMs,
    romAppearsMs: entered.appearedAfterMs,
    applicationAppearsMs,
  };
}

/** The device that left at a reset and came back as it was; undefined where none was there to be seen. */
async function resetAlone(
  kit: VisitKit,
  lines: BoardLines,
  signal: AbortSignal | undefined,
): Promise<UsbDeviceInfo | undefined> {
  const before = (await kit.usb.list()).filter((device) => usbKind(device) !== undefined);
  const [left, ...others] = await pulseReset(kit, lines, signal);
  if (left === undefined && before.some((device) => usbKind(device) !== 'romDfu')) throw neverLeft(before);
  if (left === undefined) return undefined;
  if (others.length > 0) throw twins([left, ...others]);
  const back = await waitForUsb(kit, (now) => boardAt(now, left.busPath), APPEARS_WITHIN_MS, signal);
  if (back === undefined) throw notBack(left.busPath);
  if (usbKind(back) === 'romDfu' && usbKind(left) !== 'romDfu') throw jumper(left.busPath);
  return usbKind(back) === 'romDfu' ? undefined : back;
}

/** From short to long; the first that makes the board leave. Ends with the board back on the bus. */
async function shortestPulse(
  kit: VisitKit,
  lines: BoardLines,
  running: UsbDeviceInfo,
  signal: AbortSignal | undefined,
): Promise<number | null> {
  for (const holdMs of PULSES_MS) {
    try {
      await lines.set({ boot0: 'floating', nrst: 'low' });
      await kit.clock.sleep(holdMs, signal);
    } finally {
      await lines.set({ boot0: 'floating', nrst: 'floating' });
    }
    const isGone = (now: readonly UsbDeviceInfo[]) =>
      now.some((device) => sameVisit(device, running)) ? undefined : true;
    const left = await waitForUsb(kit, isGone, LEAVES_WITHIN_MS, signal);
    if (left === undefined) continue;
    const back = await waitForUsb(kit, (now) => boardAt(now, running.busPath), APPEARS_WITHIN_MS, signal);
    if (back === undefined) throw notBack(running.busPath);
    return holdMs;
  }
  return null;
}

function boardAt(now: readonly UsbDeviceInfo[], busPath: string): UsbDeviceInfo | undefined {
  return now.find((device) => device.busPath === busPath && usbKind(device) !== undefined);
}

function fault(
  code: 'no-device' | 'no-boot' | 'two-boards-alike',
  message: string,
  place: string,
  advice: string,
) {
  return new OctopusError(code, message, { place, advice });
}

function neverLeft(before: readonly UsbDeviceInfo[]): OctopusError {
  const paths = before.map(({ busPath }) => busPath).join(', ');
  return fault(
    'no-device',
    `reset was pulled low, and nothing at ${paths} left the bus`,
    'reset wire',
    'The reset wire does not reach RST: check its pin in host.conf, the solder joint, and the diode, whose ring (cathode) points to the Raspberry Pi.',
  );
}

function jumper(busPath: string): OctopusError {
  return fault(
    'no-boot',
    `after a reset with BOOT0 floating the board at ${busPath} came as DFU`,
    'BOOT0',
    'The BOOT0 jumper is fitted, or something else holds BOOT0 high: take it off. Or its flash holds no firmware.',
  );
}

function stillRom(busPath: string): OctopusError {
  return fault(
    'no-boot',
    `the board at ${busPath} stays in DFU mode with BOOT0 floating`,
    'BOOT0',
    'The BOOT0 jumper is fitted, the wire sits on 3.3 V, or the flash holds no firmware: flash it.',
  );
}

function notBack(busPath: string): OctopusError {
  return fault(
    'no-boot',
    `the board at ${busPath} left the bus and did not come back within ${APPEARS_WITHIN_MS / 1000} s`,
    busPath,
    'Its firmware does not start, or a very large capacitor hangs on reset: press the reset button and see whether it comes.',
  );
}

function twins(left: readonly UsbDeviceInfo[]): OctopusError {
  const paths = left.map(({ busPath }) => busPath).join(', ');
  return fault(
    'two-boards-alike',
    `more than one board was reset at once: ${paths}`,
    paths,
    'They hang on the same reset wire: give each its own.',
  );
}
