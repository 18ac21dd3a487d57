// Gets the board into its ROM by wire: BOOT0 high, reset low until the running device has left, reset released,
// and the ROM seen where that device had been. Never "the first DFU device".
import { OctopusError } from '../errors.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import type { BoardMemory } from './board-memory.ts';
import { appearTimeoutMs } from './board-memory.ts';
import type { Kit } from './kit.ts';
import type { BoardLines } from './lines.ts';
import { goneFrom, holdReset } from './reset-pulse.ts';
import { sameVisit, usbKind, waitForUsb } from './watch-usb.ts';

/** Two boards on one wire are released together: their ROMs differ by less, behind hubs too. */
const TWIN_COMES_WITHIN_MS = 250;

export interface Entered {
  readonly device: UsbDeviceInfo;
  /** What ran there before, where it was on USB. */
  readonly before: UsbDeviceInfo | undefined;
  /** From releasing reset to the ROM seen, ms. */
  readonly appearedAfterMs: number;
}

/**
 * Route BOOT0+NRST. Leaves BOOT0 floating in every ending.
 * Throws `no-device`, `device-was-there-before`, `device-came-elsewhere`, `two-boards-alike` with what was seen.
 */
export async function enterRomByWire(
  kit: Pick<Kit, 'usb' | 'clock'>,
  lines: BoardLines,
  memory: BoardMemory,
  signal?: AbortSignal,
): Promise<Entered> {
  try {
    const first = await pulse(kit, lines, memory, signal);
    // Reset while the kernel was just getting to know it, a board can stay unseen for longer than anybody waits.
    const last = first.kind === 'nothing' ? await pulse(kit, lines, memory, signal) : first;
    if (last.kind === 'came') return last.entered;
    throw notFound(await kit.usb.list(), last);
  } finally {
    await lines.set({ boot0: 'floating', nrst: 'floating' });
  }
}

/** `nothing`: no board was on USB, and none came. */
type Pulsed =
  | { readonly kind: 'came'; readonly entered: Entered }
  | ({ readonly kind: 'nothing' | 'other' } & Missed);

interface Missed {
  readonly search: Search;
  readonly timeoutMs: number;
}

async function pulse(
  kit: Pick<Kit, 'usb' | 'clock'>,
  lines: BoardLines,
  memory: BoardMemory,
  signal?: AbortSignal,
): Promise<Pulsed> {
  const before = await kit.usb.list();
  const left = await holdReset(kit, lines, before, { boot0: 'high' }, signal);
  await lines.set({ nrst: 'floating' });
  const releasedAt = kit.clock.now();
  const timeoutMs = appearTimeoutMs(memory.romAppearsMs);
  const search = { before, left, expectedPath: left.length === 0 ? memory.busPath : undefined };
  const device = await waitForUsb(kit, (now) => findOurRom(now, search), timeoutMs, signal);
  if (device === undefined) {
    const isQuiet = ![...before, ...(await kit.usb.list())].some((one) => usbKind(one) !== undefined);
    return { kind: isQuiet ? 'nothing' : 'other', search, timeoutMs };
  }
  await refuseTwins(kit, device, search, signal);
  await lines.set({ boot0: 'floating' });
  return {
    kind: 'came',
    entered: {
      device,
      before: left.find((old) => old.busPath === device.busPath),
      appearedAfterMs: kit.clock.now() - releasedAt,
    },
  };
}

interface Search {
  readonly before: readonly UsbDeviceInfo[];
  /** Devices that left when reset went low. */
  readonly left: readonly UsbDeviceInfo[];
  /** Where the board was proven to be earlier, for when nothing was on USB this time. */
  readonly expectedPath: string | undefined;
}

function findOurRom(now: readonly UsbDeviceInfo[], search: Search): UsbDeviceInfo | undefined {
  const arrived = arrivedRoms(now, search);
  return arrived.find((device) => {
    if (search.left.length > 0) return search.left.some((old) => old.busPath === device.busPath);
    return search.expectedPath === undefined || device.busPath === search.expectedPath;
  });
}

/**
 * Did another board go with ours? Asked once the ROM is there, because a hub may tell late of a disconnect. Where
 * nothing was on USB before, a twin shows itself only by its own ROM, a moment after the first.
 */
async function refuseTwins(
  kit: Pick<Kit, 'usb' | 'clock'>,
  device: UsbDeviceInfo,
  search: Search,
  signal?: AbortSignal,
): Promise<void> {
  const isUnproven = search.left.length === 0 && search.expectedPath === undefined;
  if (isUnproven) await kit.clock.sleep(TWIN_COMES_WITHIN_MS, signal);
  const now = await kit.usb.list();
  const twins = [...goneFrom(search.before, now), ...(isUnproven ? arrivedRoms(now, search) : [])]
    .map(({ busPath }) => busPath)
    .filter((busPath) => busPath !== device.busPath);
  if (twins.length === 0) return;
  const paths = [device.busPath, ...new Set(twins)].join(', ');
  throw new OctopusError('two-boards-alike', `more than one board was reset at once: ${paths}`, {
    place: paths,
    advice:
      'They hang on the same reset wire, or something else reset the other one just then: unplug all but the one to be flashed, or try again.',
  });
}

function arrivedRoms(now: readonly UsbDeviceInfo[], search: Search): readonly UsbDeviceInfo[] {
  return now.filter(
    (device) => usbKind(device) === 'romDfu' && !search.before.some((old) => sameVisit(old, device)),
  );
}

/** Nothing came: says what was seen instead, and which wire or jumper that points at. */
function notFound(now: readonly UsbDeviceInfo[], { search, timeoutMs }: Missed): OctopusError {
  const waited = `within ${(timeoutMs / 1000).toFixed(1)} s of releasing reset`;
  const elsewhere = arrivedRoms(now, search)[0];
  if (elsewhere !== undefined) {
    const wanted = search.left[0]?.busPath ?? search.expectedPath;
    return new OctopusError(
      'device-came-elsewhere',
      `a DFU device came at ${elsewhere.busPath}, but the board is at ${wanted}`,
      {
        place: elsewhere.busPath,
        advice:
          'Another board went into DFU mode by itself. Reset that one; if this board was moved to another port, run octopus reset once.',
      },
    );
  }
  const old = search.before.find(
    (device) => usbKind(device) === 'romDfu' && now.some((other) => sameVisit(other, device)),
  );
  if (old !== undefined) {
    return new OctopusError(
      'device-was-there-before',
      `the DFU device at ${old.busPath} was there before and did not leave when reset was pulled low`,
      {
        place: old.busPath,
        advice:
          'It is another board, or the reset wire (diode, direction) does not reach this one. Nothing was written to it.',
      },
    );
  }
  const back = search.left.find((device) => now.some((other) => other.busPath === device.busPath));
  if (back !== undefined) {
    return new OctopusError(
      'no-device',
      `the board at ${back.busPath} was reset but came back as before, not in DFU mode`,
      {
        place: back.busPath,
        advice:
          'Reset works, BOOT0 does not reach the chip: check the BOOT0 wire and its pin in the configuration.',
      },
    );
  }
  if (search.left.length > 0) {
    return new OctopusError(
      'no-device',
      `the board at ${search.left[0]?.busPath} left the bus, but nothing came back ${waited}`,
      {
        place: search.left[0]?.busPath ?? '',
        advice:
          'Unplug a display from EXP1/EXP2 (it can hold BOOT1/PB2 high) and anything on the TFT port (traffic on PA10 takes the ROM away from USB), then try again.',
      },
    );
  }
  return new OctopusError(
    'no-device',
    `no board left the bus when reset was pulled low, and none came ${waited}`,
    {
      place: 'USB',
      advice:
        'Check that the board has power, the USB cable carries data, and the reset wire and its diode reach the RST pin.',
    },
  );
}
