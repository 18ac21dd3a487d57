// The owner of the printer: does by hand what the program asks for in words, and nothing else.
import type { OctopusError } from '../../src/errors.ts';
import type { World } from './ways.ts';

/** To the printer and back. */
const WALK_MS = 20_000;
const OFF_MS = 3_000;

export class Owner {
  readonly #world: World;
  /** What was asked for and done. */
  readonly deeds: string[] = [];
  #isAskedToPress = false;
  #isTwiceWanted = false;

  constructor(world: World) {
    this.#world = world;
  }

  /** While a job runs. */
  hear(note: string): void {
    if (/By hand now: .*twice within half a second/.test(note)) {
      this.#isTwiceWanted = true;
      void this.#walkAndPressTwice();
    }
    if (/nothing more is to be pressed/.test(note)) this.#isTwiceWanted = false;
    this.#isAskedToPress ||= /press its reset button/.test(note);
  }

  async #walkAndPressTwice(): Promise<void> {
    const { bench, chip } = this.#world;
    await bench.clock.sleep(WALK_MS);
    if (!this.#isTwiceWanted) return;
    this.deeds.push('pressed reset twice');
    await chip.pressTwice();
  }

  /** When a job has ended with an error: what it advises, the easier thing first. Whether there was anything to do. */
  async heed({ advice }: Pick<OctopusError, 'advice'>): Promise<boolean> {
    const { clock } = this.#world.bench;
    const { chip } = this.#world;
    const wasAsked = this.#isAskedToPress;
    this.#isAskedToPress = false;
    await clock.sleep(WALK_MS);
    if (wasAsked) {
      this.deeds.push('pressed reset');
      await chip.pressReset();
    } else if (
      /switch the power of .* off and on/.test(advice) &&
      !this.deeds.includes('switched it off and on')
    ) {
      this.deeds.push('switched it off and on');
      chip.powerCut();
      await clock.sleep(OFF_MS);
      chip.powerOn();
    } else if (/press the reset button of .* twice/.test(advice)) {
      this.deeds.push('pressed reset twice');
      await chip.pressTwice();
    } else return false;
    await clock.sleep(OFF_MS);
    return true;
  }
}
