// A visit to a board's bootloader: Klipper stopped, lines opened, ROM entered, something done there, board booted,
// Klipper started again. Whatever happens, the lines float, the board is out of DFU mode and Klipper runs.
import type { Board } from '../boards/types.ts';
import { OctopusError, asOctopusError, hex } from '../errors.ts';
import type { LinePins } from '../ports/gpio.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import type { Bootloader } from './bootloader.ts';
import { recall, remember, type BoardMemory } from './board-memory.ts';
import { refuseRomAgain } from './confirm.ts';
import { openDfuseBootloader } from './dfuse-bootloader.ts';
import { DfuStay } from './dfu-stay.ts';
import { enterRomByWire, pulseReset, type Entered } from './enter-bootloader.ts';
import { ForeignStarts } from './foreign-starts.ts';
import { judgeGate, type Confirmation } from './gate.ts';
import { heaterSafety, withHeatersOff, type HeaterSafety } from './heaters.ts';
import { learnChipId } from './identity-card.ts';
import type { Kit } from './kit.ts';
import { withLines, type BoardLines } from './lines.ts';
import type { Stopwatch } from './stopwatch.ts';
import { TornSectors } from './torn-sectors.ts';
import { usbKind } from './watch-usb.ts';

export type { HeaterSafety } from './heaters.ts';

/** A board where it is: what it is and how it is wired. */
export interface BoardPlace {
  readonly board: Board;
  readonly pins: LinePins;
  readonly heaters: HeaterSafety;
  /** Its section of printer.cfg, where the configuration says it: `mcu`. */
  readonly section?: string | undefined;
}

/** What a walk is asked for: where, and what the caller vouches for. */
export interface VisitOrder {
  readonly place: BoardPlace;
  readonly confirm: readonly Confirmation[];
}

/** Where the board sat, and when it was let go to boot. */
export interface Seat {
  readonly busPath: string;
  /** Klipper, stopped: its port is free while nobody else starts it. */
  readonly klipper: Pick<ForeignStarts, 'mayRun' | 'settled'>;
  readonly releasedAtMs: number;
  readonly memory: BoardMemory;
}

export type VisitKit = Pick<Kit, 'clock' | 'gpio' | 'printer' | 'recorder' | 'store' | 'usb'>;

/** Asks the gate and passes its warnings on, each once. Throws `gate-closed`, `needs-confirmation`. */
export async function passGate(
  kit: Pick<Kit, 'printer'>,
  confirmed: readonly Confirmation[],
  watch: Stopwatch,
): Promise<void> {
  for (const warning of judgeGate(await kit.printer.read(), confirmed))
    if (!watch.notes.includes(warning)) watch.note(warning);
}

/** `lastExit` throws if the job was cancelled, and ends all cancelling: called before anything is changed. */
export type Inside<T> = (
  chip: Bootloader,
  torn: TornSectors,
  lastExit: () => void,
  stay: DfuStay,
) => Promise<T>;

/**
 * @param inside what to do while the bootloader answers; done again after a chip stopped answering and was reset
 * @param after what to look at once the board was let go; Klipper is still stopped, so the port is free
 */
export async function visitBootloader<T, R>(
  kit: VisitKit,
  order: VisitOrder,
  watch: Stopwatch,
  signal: AbortSignal | undefined,
  inside: Inside<T>,
  after: (done: T, seat: Seat) => Promise<R>,
): Promise<R> {
  const { board, pins } = order.place;
  const isLimited = heaterSafety(order.place).kind !== 'unused';
  return withKlipperStopped(kit, order, watch, signal, async (klipper) => {
    const memory = await recall(kit, board.name);
    let busPath = memory.busPath;
    const visit = async (lines: BoardLines): Promise<R> => {
      const torn = new TornSectors(board.mcu.sectors);
      // Behind the last exit nobody can cancel any more, a second entry into the ROM included.
      let cancel = signal;
      let isBehindExit = false;
      let hasLeft = false;
      // A reset into the ROM again lets nothing cool down: the 60 s are those of all entries.
      let since: number | undefined;
      const leave = async (): Promise<void> => {
        await letGo(kit, lines, watch);
        hasLeft = true;
      };
      const workOn = async ({ device, before, appearedAfterMs }: Entered, stay: DfuStay): Promise<T> => {
        const chip = await openDfuseBootloader(kit, device, board.mcu);
        const lastExit = (): void => {
          cancel?.throwIfAborted();
          stay.lastExit();
          cancel = undefined;
          isBehindExit = true;
        };
        try {
          const romAppearsMs = Math.max(appearedAfterMs, memory.romAppearsMs ?? 0);
          const { news, note } = learnChipId(memory, { rom: chip.identity.uid, usb: before });
          await remember(kit, board.name, { busPath: device.busPath, romAppearsMs, ...news });
          if (note !== undefined && !watch.notes.includes(note)) watch.note(note);
          return await inside(stay.listen(chip), torn, lastExit, stay);
        } finally {
          await chip.close();
        }
      };
      const enterAndDo = async (): Promise<T> => {
        watch.begin('enter');
        const entered = await enterRomByWire(kit, lines, memory, cancel);
        const { device, before, appearedAfterMs } = entered;
        busPath = device.busPath;
        refuseOtherChip(board, before);
        since ??= kit.clock.now() - appearedAfterMs;
        const stay = new DfuStay(kit.clock, since, isLimited);
        if (isBehindExit) stay.lastExit();
        return await stay.within(workOn(entered, stay), leave);
      };
      let done: T;
      try {
        done = await againWhileLearning(enterAndDo, torn, watch);
      } catch (error) {
        // Once is enough: Katapult takes two resets within half a second for a wish to stay.
        if (hasLeft) throw error;
        // The old application is booted again, or at least the board leaves DFU mode with its heaters.
        await letGo(kit, lines, watch).catch(() => {});
        throw error;
      }
      const releasedAtMs = await letGo(kit, lines, watch);
      return after(done, { busPath: busPath ?? '', releasedAtMs, memory, klipper });
    };
    const isStillInRom = async (): Promise<boolean> => {
      // A power device may start Klipper itself when it is switched on (bound_services): that is no longer foreign.
      await klipper.end();
      if (busPath === undefined) return (await kit.usb.list()).some((device) => usbKind(device) === 'romDfu');
      return await refuseRomAgain(kit, board.name, { busPath }).then(
        () => false,
        () => true,
      );
    };
    return withHeatersOff(kit, order.place, watch, () => withLines(kit, pins, visit), isStillInRom);
  });
}

/** A chip that stopped answering in a read is reset into its ROM again, as long as each silence teaches something. */
async function againWhileLearning<T>(
  work: () => Promise<T>,
  torn: TornSectors,
  watch: Stopwatch,
): Promise<T> {
  for (;;) {
    const known = torn.lessons;
    try {
      return await work();
    } catch (error) {
      if (torn.lessons === known || asOctopusError(error).code === 'dfu-too-long') throw error;
      const around = torn.addresses.map(hex).join(', ');
      watch.note(
        around === ''
          ? 'The chip stopped answering while it was read: it is reset and asked again.'
          : `The sector at ${around} cannot be read (a write was cut off there): read around.`,
      );
    }
  }
}

/** Boots by reset with BOOT0 floating: the start a printer makes when it is switched on. */
async function letGo(kit: VisitKit, lines: BoardLines, watch: Stopwatch): Promise<number> {
  watch.begin('boot');
  // A disk that is full by now must not keep the board in DFU mode.
  await kit.recorder.before({ kind: 'boot' }).catch(() => {});
  await pulseReset(kit, lines);
  return kit.clock.now();
}

/**
 * Klipper stopped around `work`, and kept stopped. The gate is asked once more in the moment before: since the preflight
 * somebody may have begun a print or switched a heater on. Then nothing is touched, Klipper included.
 */
export async function withKlipperStopped<T>(
  kit: Pick<Kit, 'printer' | 'recorder'>,
  { confirm }: Pick<VisitOrder, 'confirm'>,
  watch: Stopwatch,
  signal: AbortSignal | undefined,
  work: (klipper: ForeignStarts) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  watch.begin('stop');
  await kit.recorder.before({ kind: 'stop-klipper' });
  await passGate(kit, confirm, watch);
  signal?.throwIfAborted();
  const klipper = new ForeignStarts(kit, watch);
  try {
    await kit.printer.stopKlipper();
    signal?.throwIfAborted();
    return await work(klipper);
  } finally {
    await klipper.end();
    await kit.recorder.before({ kind: 'start-klipper' }).catch(() => {});
    // An ending of its own must not hide how the board fared.
    await kit.printer.startKlipper().catch(async (error: unknown) => {
      // On record that it is still stopped: the next start of the daemon starts it.
      await kit.recorder.before({ kind: 'stop-klipper' }).catch(() => {});
      watch.note(
        `Klipper could not be started: ${asOctopusError(error).message}. Start it by hand, or wait: the daemon starts it when Moonraker is back.`,
      );
    });
  }
}

/** Firmware that was running says which chip it runs on; two chips can show the same ROM. */
function refuseOtherChip(board: Board, before: UsbDeviceInfo | undefined): void {
  if (before === undefined || usbKind(before) === 'romDfu') return;
  const product = before.product;
  if (product === undefined || !/^stm32/i.test(product) || product === board.mcu.name) return;
  throw new OctopusError(
    'wrong-mcu',
    `the board at ${before.busPath} called itself ${product}, ${board.name} has an ${board.mcu.name}`,
    {
      place: `USB ${before.busPath}`,
      advice: 'Correct board: in the configuration, or the wires go to another board than you think.',
    },
  );
}
