// One process of ours on the bench from its start to its end: a flash, or a daemon that starts after it.
import { asOctopusError, type OctopusError } from '../../src/errors.ts';
import { flash } from '../../src/flash/flash.ts';
import type { FlashEvent, FlashResult } from '../../src/flash/report.ts';
import { startJob } from '../../src/jobs/runner.ts';
import { floatLines } from '../../src/methods/float-lines.ts';
import { repairBoard, type StartOutcome } from '../../src/methods/repair.ts';
import { Mortal } from './mortal.ts';
import type { Owner } from './owner.ts';
import { follow, Timeline, type Strike } from './timeline.ts';
import type { World } from './ways.ts';

/** A job that lasts longer hangs: nothing in a flash waits for more than minutes, its owner's hand included. */
const HANGS_AFTER_MS = 45 * 60_000;

type Cut = { readonly kind: 'killed' } | { readonly kind: 'hangs' };
type Failed = { readonly kind: 'failed'; readonly error: OctopusError };
/** What of it is judged. */
export type Flashed = Pick<FlashResult, 'printer' | 'verified' | 'version'>;
export type Ending = { readonly kind: 'done'; readonly result: Flashed } | Failed | Cut;
export type Start = StartOutcome | Failed | Cut;

export class Life {
  readonly timeline: Timeline;
  readonly process: Mortal;
  readonly notes: string[] = [];
  /** What it held open when it ended by itself. */
  leftOpen: readonly string[] = [];
  readonly #world: World;
  readonly #owner: Owner;
  #strike: Strike = () => undefined;
  #cancel: () => void = () => {};

  constructor(world: World, owner: Owner) {
    this.#world = world;
    this.#owner = owner;
    this.timeline = new Timeline((moment) => this.#strike(moment));
    this.process = new Mortal(world.bench, this.timeline);
    follow(world, this.timeline);
  }

  /** SIGTERM: the desk is closed, which asks the job to stop, one that is just being started too. */
  cancel(): void {
    this.#cancel();
  }

  /** As a daemon that got the request and ends when it is done. */
  async flash(strike: Strike): Promise<Ending> {
    this.#strike = strike;
    const { place, image } = this.#world;
    const file = { name: 'klipper.bin', bytes: image };
    const options = { force: [], replaceBootloader: false, verify: true, dryRun: false };
    const order = { place, file, confirm: ['cold', 'still'] as const, ...options };
    const work = async (): Promise<Ending> => {
      let isCancelled = false;
      this.#cancel = () => (isCancelled = true);
      const job = await startJob(this.process.kit, {
        method: 'octopus.flash',
        board: place.board.name,
        onEvent: (event) => this.#hear(event),
        work: (kit, report, signal) => flash(kit, order, report, signal),
      });
      this.#cancel = () => job.cancel();
      if (isCancelled) job.cancel();
      return { kind: 'done', result: await job.ended };
    };
    const ending = await untilItEnds(this.#world, this.process, work);
    // A daemon's last act, whatever ends it.
    if (ending.kind !== 'hangs')
      await untilItEnds(this.#world, this.process, () =>
        floatLines(this.process.kit, place.pins, place.board.name),
      );
    return this.#end(ending);
  }

  /** As a daemon that starts: what it does for this board. */
  async start(strike: Strike): Promise<Start> {
    this.#strike = strike;
    const work = () => repairBoard(this.process.kit, this.#world.place, (event) => this.#hear(event));
    return this.#end(await untilItEnds(this.#world, this.process, work));
  }

  #end<T>(ending: T): T {
    if (!this.process.isDead) this.leftOpen = this.process.held;
    this.timeline.end();
    this.process.die();
    return ending;
  }

  #hear(event: FlashEvent): void {
    if (event.kind !== 'note') return;
    this.notes.push(event.text);
    this.#owner.hear(event.text);
  }
}

/** Its own end, the death of its process, or the judgement that it hangs. */
export async function untilItEnds<T>(
  { bench }: Pick<World, 'bench'>,
  process: Mortal,
  work: () => Promise<T>,
): Promise<T | Failed | Cut> {
  const cut = Promise.withResolvers<Cut>();
  const forget = process.onDeath(() => cut.resolve({ kind: 'killed' }));
  const over = new AbortController();
  bench.clock.sleep(HANGS_AFTER_MS, over.signal).then(
    () => cut.resolve({ kind: 'hangs' }),
    () => {},
  );
  try {
    const worked = work().catch((thrown: unknown): Failed => ({
      kind: 'failed',
      error: asOctopusError(thrown),
    }));
    return await Promise.race([worked, cut.promise]);
  } finally {
    over.abort();
    forget();
  }
}

/** In a line. */
export function told(ending: Ending | Start): string {
  if (ending.kind === 'done') return `done, Klipper ${ending.result.printer}`;
  if (ending.kind !== 'failed' && ending.kind !== 'needs') return ending.kind;
  const { code, message, onBoard } = ending.error;
  return `${ending.kind}, ${code}: ${message}${onBoard === undefined ? '' : ` | ${onBoard}`}`;
}
