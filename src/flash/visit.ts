// A visit to a board's bootloader: Klipper stopped, lines opened, ROM entered, something done there, board booted,
// Klipper started again. Whatever happens, the lines float, the board is out of DFU mode and Klipper runs.
import type { Board } from '../boards/types.ts';
import { OctopusError, asOctopusError, hex } from '../errors.ts';
import type { LinePins } from '../ports/gpio.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import type { Bootloader } from './bootloader.ts';
import { recall, remember, type BoardMemory } from './board-memory.ts';
import { openDfuseBootloader } from './dfuse-bootloader.ts';
import { enterRomByWire, pulseReset } from './enter-bootloader.ts';
import { judgeGate, type Confirmation } from './gate.ts';
import type { Kit } from './kit.ts';
import { withLines, type BoardLines } from './lines.ts';
import type { Stopwatch } from './stopwatch.ts';
import { TornSectors } from './torn-sectors.ts';
import { usbKind } from './watch-usb.ts';

/**
 * Why the outputs that the ROM may drive (`Board.heatersDrivenByRom`) heat nothing in DFU mode: the owner says that
 * nothing hangs on them, Moonraker's power device takes their supply away, or nobody knows and the caller must vouch.
 */
export type HeaterSafety =
  | { readonly kind: 'unused' }
  | { readonly kind: 'power'; readonly device: string }
  | { readonly kind: 'unknown' };

/** A board where it is: what it is and how it is wired. */
export interface BoardPlace {
  readonly board: Board;
  readonly pins: LinePins;
  readonly heaters: HeaterSafety;
}

/** Where the board sat, and when it was let go to boot. */
export interface Seat {
  readonly busPath: string;
  readonly releasedAtMs: number;
  readonly memory: BoardMemory;
}

export type VisitKit = Pick<Kit, 'clock' | 'gpio' | 'printer' | 'recorder' | 'store' | 'usb'>;

/** Asks the gate and passes its warnings on. Throws `gate-closed`, `needs-confirmation`. */
export async function passGate(
  kit: Pick<Kit, 'printer'>,
  confirmed: readonly Confirmation[],
  watch: Stopwatch,
): Promise<void> {
  for (const warning of judgeGate(await kit.printer.read(), confirmed)) watch.note(warning);
}

/**
 * @param inside what to do while the bootloader answers; done again after a chip stopped answering and was reset.
 *   It calls `lastExit` before it changes anything: that throws if the job was cancelled, and ends all cancelling
 * @param after what to look at once the board was let go; Klipper is still stopped, so the port is free
 */
export async function visitBootloader<T, R>(
  kit: VisitKit,
  { board, pins }: BoardPlace,
  watch: Stopwatch,
  signal: AbortSignal | undefined,
  inside: (chip: Bootloader, torn: TornSectors, lastExit: () => void) => Promise<T>,
  after: (done: T, seat: Seat) => Promise<R>,
): Promise<R> {
  return withKlipperStopped(kit, watch, signal, () =>
    withLines(kit, pins, async (lines) => {
      const memory = await recall(kit, board.name);
      warnOfHeaters(board, watch);
      const torn = new TornSectors(board.mcu.sectors);
      // Behind the last exit nobody can cancel any more, a second entry into the ROM included.
      let cancel = signal;
      const lastExit = (): void => {
        cancel?.throwIfAborted();
        cancel = undefined;
      };
      const enterAndDo = async (): Promise<{ done: T; busPath: string }> => {
        watch.begin('enter');
        const entered = await enterRomByWire(kit, lines, memory, cancel);
        refuseOtherChip(board, entered.before);
        const chip = await openDfuseBootloader(kit, entered.device, board.mcu);
        try {
          const { busPath } = entered.device;
          const romAppearsMs = Math.max(entered.appearedAfterMs, memory.romAppearsMs ?? 0);
          await remember(kit, board.name, { busPath, chipUid: chip.identity.uid, romAppearsMs });
          return { done: await inside(chip, torn, lastExit), busPath };
        } finally {
          await chip.close();
        }
      };
      let visited: { done: T; busPath: string };
      try {
        visited = await againWhileLearning(enterAndDo, torn, watch);
      } catch (error) {
        // The old application is booted again, or at least the board leaves DFU mode with its heaters.
        await letGo(kit, lines, watch).catch(() => {});
        throw error;
      }
      const releasedAtMs = await letGo(kit, lines, watch);
      return after(visited.done, { busPath: visited.busPath, releasedAtMs, memory });
    }),
  );
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
      if (torn.lessons === known) throw error;
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

export async function withKlipperStopped<T>(
  kit: Pick<Kit, 'printer' | 'recorder'>,
  watch: Stopwatch,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  watch.begin('stop');
  await kit.recorder.before({ kind: 'stop-klipper' });
  try {
    await kit.printer.stopKlipper();
    signal?.throwIfAborted();
    return await work();
  } finally {
    await kit.recorder.before({ kind: 'start-klipper' }).catch(() => {});
    // An ending of its own must not hide how the board fared.
    await kit.printer
      .startKlipper()
      .catch((error: unknown) =>
        watch.note(`Klipper could not be started: ${asOctopusError(error).message}. Start it by hand.`),
      );
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

function warnOfHeaters(board: Board, watch: Stopwatch): void {
  if (board.heatersDrivenByRom.length === 0) return;
  watch.note(
    `In DFU mode the ROM may drive ${board.heatersDrivenByRom.join(' and ')} of this board: do not leave heaters on them unwatched.`,
  );
}
