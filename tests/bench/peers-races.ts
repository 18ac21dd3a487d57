// The races of `npm run bench:peers`: which boards, which flash times, which images; and one race from start to end.
import { loadavg } from 'node:os';
import { boardByName } from '../../src/boards/boards.ts';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import { forgeKlipper } from '../../src/virtual/forge.ts';
import { plantSeal } from '../../src/virtual/seal.ts';
import { NO_HOST_TIMES } from '../../src/virtual/serve/serve.ts';
import { TIMES } from '../../src/virtual/times.ts';
import { floorMs } from './peers-floor.ts';
import { Track, type Lap, type Sample } from './peers-track.ts';

export const KIB = 1024;

interface Course {
  readonly what: string;
  readonly sizeKib: number;
  /** Behind the bootloader, or from the flash's start on. */
  readonly at: 'application' | 'base';
  /** Against what lies there: everything differs, or one sector (and the first, which holds the seal). */
  readonly differs: 'all' | 'one-sector';
  /** dfu-util takes minutes for half a MiB of some chips: fewer laps. */
  readonly lapsAtMost?: number;
}

export interface Race {
  readonly name: string;
  readonly title: string;
  readonly board: string;
  readonly heaters: string;
  readonly options: BenchOptions;
  readonly courses: readonly Course[];
}

const F446 = { board: 'octopus-v1.1-f446', heaters: 'HE2, HE3' } as const;
const SMALL: Course = {
  what: '46 KiB behind the bootloader',
  sizeKib: 46,
  at: 'application',
  differs: 'all',
};
const ONE_SECTOR: Course = {
  what: '500 KiB, one sector changed',
  sizeKib: 500,
  at: 'base',
  differs: 'one-sector',
};
const LARGE: Course = { what: '500 KiB, all of it new', sizeKib: 500, at: 'base', differs: 'all' };
/** The flash alone takes no time: the ROM starts and transfers move as on the real board. */
const NO_FLASH_TIME: BenchOptions = { times: 'zero', timesOverride: { ...TIMES.typical, ...NO_HOST_TIMES } };
const NO_POLL = { eraseMs: 0, massEraseMs: 0, setAddressMs: 0, writeMs: 0 };

export const RACES: readonly Race[] = [
  {
    ...F446,
    name: 'f446',
    title: 'F446, the flash takes its typical datasheet times',
    options: {},
    courses: [SMALL, { ...ONE_SECTOR, lapsAtMost: 2 }],
  },
  {
    ...F446,
    name: 'f446-zero',
    title: 'F446, the flash takes no time, the ROM announces its usual 100 and 104 ms',
    options: NO_FLASH_TIME,
    courses: [SMALL, { ...LARGE, lapsAtMost: 1 }],
  },
  {
    ...F446,
    name: 'f446-zero-poll',
    title: 'F446, the flash takes no time and the ROM announces 0 ms: nothing but transfers',
    options: { ...NO_FLASH_TIME, rom: { pollTimeouts: NO_POLL } },
    courses: [SMALL, LARGE],
  },
  {
    board: 'octopus-pro-h723',
    heaters: 'HE1, HE3',
    name: 'h723',
    title: 'H723, the flash takes its typical datasheet times (reported only)',
    options: {},
    courses: [SMALL, { ...ONE_SECTOR, lapsAtMost: 1 }],
  },
];

export interface CourseResult {
  readonly what: string;
  readonly bytes: number;
  /** In DFU mode without any processor's time, ms. */
  readonly floorMs: number;
  readonly daemon: readonly Sample[];
  readonly process: readonly Sample[];
  readonly dfuUtil: readonly Sample[];
}

export interface RaceResult {
  readonly name: string;
  readonly kernel: string;
  readonly dfuUtil: string;
  /** Processes that wanted a core while it ran, its own one or two among them: the mean after each lap. */
  readonly load: number;
  /** The very first contact: the whole flash is read and kept. Undefined for a race that was cut off. */
  readonly firstContact?: Sample | undefined;
  readonly courses: readonly CourseResult[];
}

export async function run(race: Race, laps: number, tell: (line: string) => void): Promise<RaceResult> {
  const track = await Track.open({ board: race.board, ...race.options }, race.heaters);
  try {
    const names = await track.names();
    let firstContact: Sample | undefined;
    const courses: CourseResult[] = [];
    const loads: number[] = [];
    for (const course of race.courses) {
      const lap = lapOf(race.board, course);
      // Not counted: the copy of what will be overwritten is kept, and Node has compiled what it needs.
      const again = (runner: 'daemon' | 'process' | 'dfuUtil'): Promise<Sample> =>
        persistently(track, () => track[runner](lap), tell);
      const warm = await again('daemon');
      firstContact ??= warm;
      await again('process');
      const result = { daemon: [] as Sample[], process: [] as Sample[], dfuUtil: [] as Sample[] };
      for (let n = 0; n < Math.min(laps, course.lapsAtMost ?? laps); n++) {
        for (const runner of ['dfuUtil', 'daemon', 'process'] as const) {
          const sample = await again(runner);
          result[runner].push(sample);
          loads.push(loadavg()[0] ?? 0);
          tell(
            `${race.name}, ${course.what}, ${runner}: ${(sample.wallMs / 1000).toFixed(2)} s, in DFU ${(sample.inDfuMs / 1000).toFixed(2)} s, ${sample.requests} requests ${JSON.stringify(sample.phases)}`,
          );
        }
      }
      const floor = await floorMs(race.board, race.options, lap);
      courses.push({ what: course.what, bytes: lap.image.length, floorMs: floor, ...result });
    }
    const load = loads.reduce((sum, one) => sum + one, 0) / loads.length;
    return { name: race.name, ...names, load, firstContact, courses };
  } finally {
    await track.close();
  }
}

/**
 * The expander's driver waits 100 ms for an answer (VPRBRD_USB_TIMEOUT_MS), and a busy machine may take longer: such a lap
 * counts for nothing and is run again.
 */
async function persistently(
  track: Track,
  lap: () => Promise<Sample>,
  tell: (line: string) => void,
): Promise<Sample> {
  for (let left = 3; ; left--) {
    try {
      return await lap();
    } catch (error) {
      if (left === 0) throw error;
      tell(`a lap that does not count: ${String(error)}`);
      await track.reset();
    }
  }
}

export function lapOf(board: string, { sizeKib, at, differs }: Course): Lap {
  const { mcu, applicationAddress, crystalHz: crystal } = boardByName(board);
  const crystalHz = crystal ?? 0;
  const address = at === 'application' ? applicationAddress : mcu.flashBase;
  const klipper = (seed: number) =>
    forgeKlipper({ mcu: mcu.name, linkAddress: address, sizeBytes: sizeKib * KIB, seed, crystalHz });
  const image = klipper(1);
  if (differs === 'all') return { address, image, before: klipper(2) };
  const before = image.slice();
  // The third: 16 KiB on an F446; an H723 has none below 128 KiB.
  const changed = mcu.sectors[2]?.address ?? address;
  for (let byte = 0; byte < 16; byte++) {
    const index = changed - mcu.flashBase + 0x200 + byte;
    before[index] = (before[index] ?? 0) ^ 0xff;
  }
  plantSeal(before, address, crystalHz);
  return { address, image, before };
}
