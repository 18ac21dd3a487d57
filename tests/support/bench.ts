// A virtual bench and a walk on it, the way the tests of src/flash want them.
import { boardByName } from '../../src/boards/boards.ts';
import type { Confirmation } from '../../src/flash/gate.ts';
import { flash, type FlashKit, type FlashOrder } from '../../src/flash/flash.ts';
import type { FlashEvent, FlashResult } from '../../src/flash/report.ts';
import type { WiredOrder } from '../../src/flash/place.ts';
import type { Step } from '../../src/ports/recorder.ts';
import { createBench, type BenchOptions, type VirtualBench } from '../../src/virtual/bench.ts';
import { forgeKlipper, type ForgeKlipper } from '../../src/virtual/forge.ts';

export const PINS = { boot0: 'gpio26', nrst: 'gpio19' } as const;

export const BOARDS = [
  'octopus-v1.1-f446',
  'octopus-v1.1-f429',
  'octopus-v1.1-f407',
  'octopus-pro-f446',
  'octopus-pro-f429',
  'octopus-pro-h723',
] as const;
/** One of each ROM generation, for tables that would take too long on all six. */
export const TWO_BOARDS = ['octopus-v1.1-f446', 'octopus-pro-h723'] as const;

export interface TestBench {
  readonly bench: VirtualBench;
  readonly kit: FlashKit;
  readonly place: WiredOrder['place'];
  readonly steps: readonly Step[];
}

export async function setUp(options: BenchOptions = {}): Promise<TestBench> {
  const name = options.board ?? BOARDS[0];
  // Nothing real is under way beside it.
  const bench = await createBench({ board: name, clock: 'hasty', ...options });
  const steps: Step[] = [];
  const recorder = {
    before: async (step: Step) => {
      steps.push(step);
    },
  };
  return {
    bench,
    kit: { ...portsOf(bench), recorder },
    place: { board: boardByName(name), pins: PINS, heaters: { kind: 'unused' } },
    steps,
  };
}

function portsOf({
  can,
  clock,
  gpio,
  locks,
  printer,
  serial,
  store,
  usb,
}: VirtualBench): Omit<FlashKit, 'recorder'> {
  return { can, clock, gpio, locks, printer, serial, store, usb };
}

/** Forging one takes longer than flashing it. */
const forged = new Map<string, Uint8Array>();

/** A Klipper for this board, behind its bootloader unless told otherwise. */
export function klipperFor(
  { place }: Pick<TestBench, 'place'>,
  options: Partial<ForgeKlipper> = {},
): Uint8Array {
  const { mcu, applicationAddress } = place.board;
  const build = { mcu: mcu.name, linkAddress: applicationAddress, version: 'v0.13.0-1-gabcdef0', ...options };
  const key = JSON.stringify(build);
  const image = forged.get(key) ?? forgeKlipper(build);
  forged.set(key, image);
  return image.slice();
}

export function orderFor(
  { place }: Pick<TestBench, 'place'>,
  bytes: Uint8Array,
  options: Partial<FlashOrder> = {},
): FlashOrder {
  return {
    place,
    file: { name: 'klipper.bin', bytes },
    confirm: ['cold', 'still'] satisfies Confirmation[],
    force: [],
    replaceBootloader: false,
    verify: true,
    dryRun: false,
    ...options,
  };
}

export async function flashBytes(
  rig: TestBench,
  bytes: Uint8Array,
  options: Partial<FlashOrder> = {},
  signal?: AbortSignal,
): Promise<FlashResult & { events: FlashEvent[] }> {
  const events: FlashEvent[] = [];
  const result = await flash(rig.kit, orderFor(rig, bytes, options), (event) => events.push(event), signal);
  return { ...result, events };
}

/** The OctopusError that `work` ends with; an ending without one is a failed test. */
export async function failureOf(
  work: Promise<unknown>,
): Promise<{ code: string; advice: string; message: string; onBoard?: string; place?: string }> {
  try {
    await work;
  } catch (error) {
    return error as never;
  }
  throw new Error('it ended well');
}

/** What must hold after every ending, good or bad. */
export function expectSafe({ bench }: Pick<TestBench, 'bench'>): void {
  const problems = [
    ...bench.electricalFaults.map((fault) => fault.message),
    ...Object.entries(bench.lines.pins()).flatMap(([pin, drive]) =>
      drive === 'floating' ? [] : [`${pin} is left ${drive}`],
    ),
    ...(bench.printer.serviceRunning ? [] : ['Klipper was left stopped']),
  ];
  if (problems.length > 0) throw new Error(problems.join('; '));
}
