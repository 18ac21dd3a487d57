// One printer of the soak: the same board, the same host and the same store through all its flashes. In each something may go
// wrong; what a user would do then is done, and what must hold is looked at.
import { VirtualClock } from '../../src/virtual/clock.ts';
import { FAULTS, type Fault } from '../faults/faults.ts';
import { Ground } from '../faults/ground.ts';
import { told, type Ending, type Start } from '../faults/life.ts';
import { Owner } from '../faults/owner.ts';
import { follow, Timeline, type Moment, type Strike } from '../faults/timeline.ts';
import { imageFor, OLD, type Way, type World } from '../faults/ways.ts';
import type { Random } from '../fuzz/random.ts';
import { Daemon } from './daemon.ts';

/** One flash in so many is left in peace. */
const PEACE_IN = 4;
/** systemd starts it again after some seconds. */
const RESTART_MS = 5_000;
/** An owner who is told three times what to do, and nothing comes of it, gives up. */
const MOST_STARTS = 3;
/** In turn, so that there is always something to be written, and the copies of what was before come to an end. */
const VERSIONS = ['v0.13.0-101', 'v0.13.0-202', 'v0.13.0-303', 'v0.13.0-404'] as const;

export interface Round {
  readonly fault: string;
  readonly ending: Ending['kind'];
  /** What does not hold; empty: all is well. */
  readonly problems: readonly string[];
  readonly story: readonly string[];
}

export class SoakPrinter {
  readonly way: Way;
  readonly #world: World;
  readonly #random: Random;
  readonly #images: ReadonlyMap<string, Uint8Array>;
  #timeline = new Timeline();
  #daemon: Daemon;
  #runs: string = OLD;
  /** A flash in peace has so many moments; learnt from the first. */
  #moments: readonly Moment[] = [];
  #story: string[] = [];
  /** Processes so far. */
  starts = 1;

  static async open(way: Way, random: Random): Promise<SoakPrinter> {
    return new SoakPrinter(way, await way.open(), random);
  }

  constructor(way: Way, world: World, random: Random) {
    [this.way, this.#world, this.#random] = [way, world, random];
    this.#images = new Map(VERSIONS.map((version, seed) => [version, imageFor(way.name, { version, seed })]));
    this.#daemon = this.#born();
  }

  /** Of the virtual clock: whoever forgot a timer is among them. */
  get sleepers(): number {
    const { clock } = this.#world.bench;
    return clock instanceof VirtualClock ? clock.sleepers : 0;
  }

  async flash(): Promise<Round> {
    const next = this.#random.pick(VERSIONS.filter((version) => version !== this.#runs));
    const image = this.#images.get(next) ?? new Uint8Array(0);
    const world = { ...this.#world, image };
    const ground = new Ground(world, { old: this.#runs, next });
    const owner = new Owner(world);
    this.#daemon.onNote = (text) => owner.hear(text);
    this.#story = [];
    const fault =
      this.#moments.length === 0 || this.#random.oneIn(PEACE_IN) ? undefined : this.#random.pick(FAULTS);
    const ending = await this.#struck(image, fault, owner);
    const problems = [
      ...ground.judgeEnding(ending),
      ...(fault === undefined && ending.kind !== 'done' ? ['a flash in peace came to nothing'] : []),
      ...this.#leftOpen(),
      ...(await ground.judge()),
    ];
    this.#runs = world.chip.version ?? this.#runs;
    return { fault: fault?.name ?? 'none', ending: ending.kind, problems, story: this.#story };
  }

  async close(): Promise<void> {
    await this.#daemon.leave();
    this.#world.bench.dispose();
  }

  async #struck(image: Uint8Array, fault: Fault | undefined, owner: Owner): Promise<Ending> {
    const met = fault === undefined ? [] : this.#moments.filter(fault.meets);
    const at = met.length === 0 ? 0 : this.#random.pick(met).n;
    const scene = { world: this.#world, process: this.#daemon.process, cancel: () => this.#daemon.end() };
    let isStruck = false;
    this.#follow((moment) => {
      if (isStruck || moment.n < at || fault?.meets(moment) !== true) return undefined;
      isStruck = true;
      return fault.strike(scene, moment);
    });
    const ending = await this.#daemon.flash(image);
    this.#story.push(`flash, ${fault?.name ?? 'in peace'}: ${told(ending)}`);
    if (this.#moments.length === 0) this.#moments = this.#timeline.moments;
    this.#follow();
    if (fault?.startsInIt === true) await this.#mend();
    await fault?.after?.(scene);
    if (ending.kind === 'failed') await owner.heed(ending.error);
    await this.#mendUntilPeace(owner);
    return ending;
  }

  /** As often as somebody was told what to do, and did it. */
  async #mendUntilPeace(owner: Owner): Promise<void> {
    for (let starts = 0; starts < MOST_STARTS; starts++) {
      const start = await this.#mend();
      if ((start.kind !== 'needs' && start.kind !== 'failed') || !(await owner.heed(start.error))) return;
    }
  }

  /** By the next process where this one is gone. */
  async #mend(): Promise<Start> {
    await this.#world.bench.clock.sleep(RESTART_MS);
    if (this.#daemon.isGone) {
      await this.#daemon.leave();
      this.#daemon = this.#born();
      this.starts += 1;
    }
    const start = await this.#daemon.mend();
    this.#story.push(`start: ${told(start)}`);
    return start;
  }

  /** From here on the moments are counted anew. */
  #follow(strike: Strike = () => undefined): void {
    this.#timeline = new Timeline(strike);
    follow(this.#world, this.#timeline);
  }

  #born(): Daemon {
    return new Daemon(this.#world, { pass: (...moment) => this.#timeline.pass(...moment) });
  }

  #leftOpen(): readonly string[] {
    return this.#daemon.process.held.map((one) => `${one} is left open`);
  }
}
