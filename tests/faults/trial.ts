// One case of the matrix: a flash, something that goes wrong at one moment of it, the daemon started again, and what there
// is then.
import type { Fault } from './faults.ts';
import { Ground } from './ground.ts';
import { Life, told, type Start } from './life.ts';
import { Owner } from './owner.ts';
import type { Moment } from './timeline.ts';
import type { Way } from './ways.ts';

/** systemd starts it again after some seconds. */
const RESTART_MS = 5_000;
/** An owner who is told three times what to do, and nothing comes of it, gives up. */
const MOST_STARTS = 3;

export interface Case {
  readonly way: Way;
  readonly fault: Fault;
  /** The moment of the flash, from 1. */
  readonly n: number;
  /** The moment of the start after it at which the daemon is killed once more; undefined: it is left in peace. */
  readonly again?: number | undefined;
}

export interface Outcome {
  readonly moment: Moment | undefined;
  /** How each process ended, with what was told. */
  readonly story: readonly string[];
  /** What does not hold; empty: recovered. */
  readonly problems: readonly string[];
  /** What the owner was asked for and did. */
  readonly deeds: readonly string[];
}

/** All moments of a flash that nothing happens to. */
export async function rehearse(way: Way): Promise<readonly Moment[]> {
  const world = await way.open();
  const life = new Life(world, new Owner(world));
  const ending = await life.flash(() => undefined);
  world.bench.dispose();
  if (ending.kind !== 'done') throw new Error(`${way.name} does not even work in peace: ${told(ending)}`);
  return life.timeline.moments;
}

/** All moments of the start that follows what happens at the moment `n`. */
export async function rehearseStart(chosen: Case): Promise<readonly Moment[]> {
  const trial = await Trial.open(chosen);
  await trial.flash();
  const moments = trial.lives.at(-1)?.timeline.moments ?? [];
  await trial.start(undefined);
  trial.close();
  return trial.lives.at(-1)?.timeline.moments ?? moments;
}

export async function tryCase(chosen: Case): Promise<Outcome> {
  const trial = await Trial.open(chosen);
  await trial.flash();
  if (chosen.again !== undefined) await trial.start(chosen.again);
  const moment = trial.moment;
  await trial.startUntilPeace();
  const outcome = { moment, ...(await trial.judge()) };
  trial.close();
  return outcome;
}

class Trial {
  readonly lives: Life[] = [];
  moment: Moment | undefined;
  readonly #case: Case;
  readonly #world: Awaited<ReturnType<Way['open']>>;
  readonly #ground: Ground;
  readonly #owner: Owner;
  readonly #story: string[] = [];
  readonly #problems: string[] = [];

  static async open(chosen: Case): Promise<Trial> {
    return new Trial(chosen, await chosen.way.open());
  }

  constructor(chosen: Case, world: Awaited<ReturnType<Way['open']>>) {
    this.#case = chosen;
    this.#world = world;
    this.#ground = new Ground(world);
    this.#owner = new Owner(world);
  }

  async flash(): Promise<void> {
    const { fault, n } = this.#case;
    const world = this.#world;
    const life = this.#begin();
    const scene = { world, process: life.process, cancel: () => life.cancel() };
    const ending = await life.flash((moment) => {
      if (moment.n !== n) return undefined;
      this.moment = moment;
      return fault.strike(scene, moment);
    });
    this.#tell('flash', life, told(ending));
    this.#problems.push(...this.#ground.judgeEnding(ending));
    if (fault.startsInIt === true) await this.start(undefined);
    await fault.after?.(scene);
    if (ending.kind === 'failed') await this.#heed(ending);
  }

  /** @param killedAt the moment at which it dies */
  async start(killedAt: number | undefined): Promise<Start> {
    await this.#world.bench.clock.sleep(RESTART_MS);
    const life = this.#begin();
    const start = await life.start((moment) => {
      if (moment.n !== killedAt) return undefined;
      this.moment = moment;
      life.process.die();
      return undefined;
    });
    this.#tell(killedAt === undefined ? 'start' : `start, killed at ${killedAt}`, life, told(start));
    if (start.kind === 'hangs') this.#problems.push('the start never ended');
    return start;
  }

  /** As often as somebody was told what to do, and did it. */
  async startUntilPeace(): Promise<void> {
    for (let starts = 0; starts < MOST_STARTS; starts++) {
      const start = await this.start(undefined);
      if ((start.kind !== 'needs' && start.kind !== 'failed') || !(await this.#heed(start))) return;
    }
  }

  async judge(): Promise<Omit<Outcome, 'moment'>> {
    const problems = [...this.#problems, ...(await this.#ground.judge())];
    return { story: this.#story, problems: [...new Set(problems)], deeds: this.#owner.deeds };
  }

  close(): void {
    this.#world.bench.dispose();
  }

  #begin(): Life {
    const life = new Life(this.#world, this.#owner);
    this.lives.push(life);
    return life;
  }

  async #heed({ error }: Extract<Start, { kind: 'failed' | 'needs' }>): Promise<boolean> {
    const before = this.#owner.deeds.length;
    const isDone = await this.#owner.heed(error);
    this.#story.push(...this.#owner.deeds.slice(before).map((deed) => `its owner has ${deed}`));
    return isDone;
  }

  #tell(what: string, life: Life, ending: string): void {
    this.#story.push(`${what}: ${ending}`, ...life.notes.map((note) => `  ${note}`));
    this.#problems.push(...life.leftOpen.map((handle) => `${what} left ${handle} open`));
  }
}
