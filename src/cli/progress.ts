// Command line: a job's events as people see them: a bar on a terminal, one line per phase elsewhere.
import type { FlashEvent, Phase } from '../flash/report.ts';
import { PHASES_OF } from '../methods/phases.ts';
import { Course } from './course.ts';
import type { Output } from './output.ts';

export interface Progress {
  take(event: FlashEvent): void;
  note(text: string): void;
  /** Nothing is drawn after this. */
  end(isDone: boolean): void;
}

/** Below this the bar does not fit beside its words. */
const BAR_MIN_COLUMNS = 60;

/** @param now of the clock that the job lives in, ms */
export async function progressFor(
  output: Output,
  method: string,
  now: () => number,
  isVerbose: boolean,
): Promise<Progress> {
  if (output.json) return SILENT;
  const phases = PHASES_OF[method];
  const { out, env } = output.streams;
  // Log lines on the same terminal would tear the bar.
  const canDraw =
    !isVerbose && out.isTTY === true && env.TERM !== 'dumb' && (out.columns ?? 0) >= BAR_MIN_COLUMNS;
  if (phases === undefined || !canDraw) return new Lines(output);
  // Loaded where one is drawn: the daemon never draws.
  const { Bar } = await import('./progress-bar.ts');
  return new Bar(output, new Course(phases, now), BAR_MIN_COLUMNS);
}

const SILENT: Progress = { take: () => {}, note: () => {}, end: () => {} };

class Lines implements Progress {
  readonly #output: Output;
  #phase: Phase | undefined;

  constructor(output: Output) {
    this.#output = output;
  }

  take(event: FlashEvent): void {
    if (event.kind === 'plan') this.#output.say(event.text);
    if (event.kind === 'note') this.note(event.text);
    if ((event.kind === 'phase' || event.kind === 'progress') && event.phase !== this.#phase) {
      this.#phase = event.phase;
      this.#output.say(`${event.phase.padEnd(PHASE_WIDTH)}  ${WORDS[event.phase]}`);
    }
  }

  note(text: string): void {
    this.#output.say(`note: ${text}`);
  }

  end(): void {}
}

const PHASE_WIDTH = 9;

const WORDS: Readonly<Record<Phase, string>> = {
  preflight: 'checking the request, the image and the printer',
  stop: 'stopping Klipper',
  enter: 'bringing the board into its bootloader',
  backup: 'reading what is there, and keeping it',
  look: 'reading what is there',
  erase: 'erasing',
  write: 'writing',
  verify: 'reading every byte back',
  boot: 'booting it',
  confirm: 'waiting for the board, and asking it who it is',
  printer: 'waiting for Klipper',
};
