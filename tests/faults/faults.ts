// The columns of the matrix: what goes wrong at a moment, and how the world is when the daemon starts again.
import { hostDown, hostUp } from '../../src/virtual/host-power.ts';
import type { Mortal } from './mortal.ts';
import type { Moment, Trouble } from './timeline.ts';
import type { World } from './ways.ts';

/** What a fault may touch. */
export interface Scene {
  readonly world: World;
  readonly process: Mortal;
  /** SIGTERM: the daemon closes its desk, which asks the job to stop. */
  readonly cancel: () => void;
}

export interface Fault {
  readonly name: string;
  /** Whether it can happen at this moment. */
  readonly meets: (moment: Moment) => boolean;
  /** @returns what becomes of the transfer of this moment */
  readonly strike: (scene: Scene, moment: Moment) => Trouble | undefined;
  /** The daemon is started while it lasts, too. */
  readonly startsInIt?: true;
  /** When the process is gone, before the daemon starts again. */
  readonly after?: (scene: Scene) => Promise<void>;
}

/** A cable that comes loose is back soon; one that was pulled, when somebody has seen the failure. Both are met. */
const LOOSE_MS = 700;
/** Longer than Katapult is waited for, shorter than a DFU device is. */
const LATE_MS = [600, 2_500] as const;
/** A Moonraker that restarts on a slow host. */
const MOONRAKER_MS = 8_000;
const HOST_BOOTS_MS = 30_000;

const always = () => true;
const onWire = ({ wire }: Moment) => wire !== 'none';
const isOdd = ({ n }: Moment) => n % 2 === 1;

export const FAULTS: readonly Fault[] = [
  {
    name: 'board-power',
    meets: always,
    strike: ({ world }, moment) => {
      if (isOdd(moment)) later(world, () => world.chip.powerOn());
      if (onWire(moment)) return 'power-cut';
      world.chip.powerCut();
      return undefined;
    },
    after: async ({ world }) => world.chip.powerOn(),
  },
  {
    name: 'host-power',
    meets: always,
    strike: ({ world, process }, { what }) => {
      hostDown(world.bench, what.endsWith('landing') ? 'new' : 'old');
      process.die();
      return undefined;
    },
    after: async ({ world }) => {
      await world.bench.clock.sleep(HOST_BOOTS_MS);
      hostUp(world.bench);
    },
  },
  {
    name: 'sigkill',
    meets: always,
    strike: ({ process }) => {
      process.die();
      return undefined;
    },
  },
  {
    name: 'sigterm',
    meets: always,
    strike: ({ cancel }) => {
      cancel();
      return undefined;
    },
  },
  {
    name: 'unplug',
    meets: always,
    strike: ({ world }, moment) => {
      if (isOdd(moment)) later(world, () => world.replug());
      if (onWire(moment)) return 'unplug';
      world.unplug();
      return undefined;
    },
    after: async ({ world }) => world.replug(),
  },
  { name: 'lost', meets: onWire, strike: () => 'lost' },
  {
    name: 'late',
    meets: ({ wire, isAnswer }) => wire === 'dfu' || wire === 'can' || (wire === 'tty' && isAnswer),
    strike: (_scene, moment) => ({ lateMs: LATE_MS[isOdd(moment) ? 1 : 0] }),
  },
  { name: 'doubled', meets: onWire, strike: () => 'doubled' },
  // On CAN and on a tty each message carries a checksum, so both directions are tried; the ROM's answers carry none.
  {
    name: 'flipped',
    meets: (moment) => onWire(moment) && (moment.wire !== 'dfu' || moment.isAnswer),
    strike: () => 'flipped',
  },
  {
    name: 'moonraker',
    meets: always,
    strike: ({ world: { bench } }) => {
      bench.printer.unreachable = true;
      void bench.clock.sleep(MOONRAKER_MS).then(() => (bench.printer.unreachable = false));
      return undefined;
    },
    after: async ({ world: { bench } }) => bench.clock.sleep(MOONRAKER_MS),
  },
  {
    name: 'foreign-start',
    meets: always,
    strike: ({ world }) => {
      world.bench.printer.foreignStart();
      return undefined;
    },
  },
  {
    name: 'disk-full',
    meets: always,
    startsInIt: true,
    strike: ({ world }) => {
      world.bench.store.failWrites = true;
      return undefined;
    },
    after: async ({ world }) => {
      world.bench.store.failWrites = false;
    },
  },
];

export function faultByName(name: string): Fault {
  const fault = FAULTS.find((one) => one.name === name);
  if (fault === undefined)
    throw new Error(`there is no fault "${name}": ${FAULTS.map((one) => one.name).join(', ')}`);
  return fault;
}

function later({ bench }: World, act: () => void): void {
  void bench.clock.sleep(LOOSE_MS).then(act);
}
