// A daemon on the bench that lives through many jobs, as one does on a printer: its desk, its book of jobs, and all that a
// job could leave behind in it.
import { Desk } from '../../src/daemon/desk.ts';
import { asOctopusError } from '../../src/errors.ts';
import type { BoardBook } from '../../src/methods/boards.ts';
import { floatLines } from '../../src/methods/float-lines.ts';
import { repairBoard } from '../../src/methods/repair.ts';
import { untilItEnds, type Ending, type Flashed, type Start } from '../faults/life.ts';
import { Mortal } from '../faults/mortal.ts';
import type { Timeline } from '../faults/timeline.ts';
import type { World } from '../faults/ways.ts';

const FLASH = { image: 'klipper.bin', confirm: ['cold', 'still'] } as const;
const LOCAL = { via: 'local', printer: undefined } as const;

export class Daemon {
  readonly process: Mortal;
  readonly desk: Desk;
  onNote: (text: string) => void = () => {};
  readonly #world: World;
  #image: Uint8Array = new Uint8Array(0);
  #isAskedToEnd = false;

  constructor(world: World, timeline: Pick<Timeline, 'pass'>) {
    this.#world = world;
    this.process = new Mortal(world.bench, timeline);
    this.desk = new Desk({
      boards: bookOf(world),
      kitFor: () => this.process.kit,
      images: () => ({
        read: async () => ({ kind: 'file', file: { name: 'klipper.bin', bytes: this.#image } }),
      }),
      isArmed: async () => true,
      facts: async () => ({ version: '0', isArmed: true, printers: [] }),
      audit: { request: () => {}, ended: () => {} },
    });
    this.desk.onJobEvent((event) => {
      if (event.kind === 'note') this.onNote(event.text);
    });
  }

  /** Whether the next flash needs another one. */
  get isGone(): boolean {
    return this.process.isDead || this.#isAskedToEnd;
  }

  /** SIGTERM. */
  end(): void {
    this.#isAskedToEnd = true;
    void this.desk.close();
  }

  flash(image: Uint8Array): Promise<Ending> {
    this.#image = image;
    return untilItEnds(this.#world, this.process, async () => ({
      kind: 'done',
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the answer of octopus.flash has them
      result: (await this.#job('octopus.flash', FLASH)) as Flashed,
    }));
  }

  /** As a start does it, and `octopus repair`. */
  mend(): Promise<Start> {
    const { place } = this.#world;
    return untilItEnds(this.#world, this.process, () =>
      repairBoard(this.process.kit, place, undefined, () => this.#job('octopus.repair', {})),
    );
  }

  /** Its last act, then its end. */
  async leave(): Promise<void> {
    if (this.process.isDead) return;
    const { pins, board } = this.#world.place;
    await floatLines(this.process.kit, pins, board.name).catch(asOctopusError);
    this.process.die();
  }

  async #job(name: string, more: Readonly<Record<string, unknown>>): Promise<object> {
    const answer = await this.desk.call(name, { board: this.#world.place.board.name, ...more }, LOCAL);
    return this.desk.jobs.ended('job' in answer ? String(answer.job) : '');
  }
}

/** The one board of this world, with a section of its own. */
function bookOf({ place }: World): BoardBook {
  const { name } = place.board;
  return { names: [name], configured: [name], onlyBoard: name, place: () => place, imageOf: () => undefined };
}
