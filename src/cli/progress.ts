// Command line: a job's events as people see them: a bar on a terminal, one line per phase elsewhere.
import cliProgress from 'cli-progress';
import type { FlashEvent, Phase } from '../flash/report.ts';
import { PHASES_OF } from '../methods/phases.ts';
import { Course, type Position } from './course.ts';
import { ascii, type Output } from './output.ts';

export interface Progress {
  take(event: FlashEvent): void;
  note(text: string): void;
  /** Nothing is drawn after this. */
  end(isDone: boolean): void;
}

/** Below this the bar does not fit beside its words. */
const BAR_MIN_COLUMNS = 60;
const STEPS = 1000;

/** @param now of the clock that the job lives in, ms */
export function progressFor(output: Output, method: string, now: () => number, isVerbose: boolean): Progress {
  if (output.json) return SILENT;
  const phases = PHASES_OF[method];
  const { out, env } = output.streams;
  // Log lines on the same terminal would tear the bar.
  const canDraw =
    !isVerbose && out.isTTY === true && env.TERM !== 'dumb' && (out.columns ?? 0) >= BAR_MIN_COLUMNS;
  return phases !== undefined && canDraw ? new Bar(output, new Course(phases, now)) : new Lines(output);
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

class Bar implements Progress {
  readonly #course: Course;
  readonly #screen: cliProgress.MultiBar;
  readonly #bar: cliProgress.SingleBar;
  #hasEnded = false;

  constructor(output: Output, course: Course) {
    const { out } = output.streams;
    this.#course = course;
    // MultiBar, because it can print a line above the bar; it holds one.
    this.#screen = new cliProgress.MultiBar({
      stream: out,
      format: '{phase} [{bar}] {percentage}%  {rate}  {left}',
      barCompleteChar: '=',
      barIncompleteChar: '-',
      barsize: Math.min(40, (out.columns ?? 80) - BAR_MIN_COLUMNS + 15),
      autopadding: true,
      // A killed process must not leave the user without a cursor, and signals are the job's business.
      hideCursor: null,
      gracefulExit: false,
      linewrap: true,
    });
    this.#bar = this.#screen.create(STEPS, 0, words(course.position()));
    // Before each frame: phases without bytes move with time.
    this.#screen.on('redraw-pre', () => this.#refresh());
  }

  take(event: FlashEvent): void {
    if (event.kind === 'plan') this.#above(event.text);
    if (event.kind === 'note') this.note(event.text);
    this.#course.take(event);
    this.#refresh();
  }

  note(text: string): void {
    this.#above(`note: ${text}`);
  }

  end(isDone: boolean): void {
    this.#hasEnded = true;
    if (isDone) this.#bar.update(STEPS, { phase: 'done'.padEnd(PHASE_WIDTH), rate: NO_RATE, left: '' });
    // What stands above the bar is printed by an update, not by the stop.
    this.#screen.update();
    this.#screen.stop();
  }

  #refresh(): void {
    if (this.#hasEnded) return;
    const position = this.#course.position();
    this.#bar.update(Math.floor(position.fraction * (STEPS - 1)), words(position));
  }

  #above(line: string): void {
    this.#screen.log(`${ascii(line)}\n`);
  }
}

function words({ phase, bytesPerSecond, leftMs }: Position) {
  return {
    phase: phase.padEnd(PHASE_WIDTH),
    rate:
      bytesPerSecond === undefined
        ? NO_RATE
        : `${(bytesPerSecond / 1024).toFixed(0)} KiB/s`.padStart(NO_RATE.length),
    left: leftMs === undefined ? '' : `${Math.ceil(leftMs / 1000)} s left`,
  };
}
const NO_RATE = ' '.repeat('9999 KiB/s'.length);
const PHASE_WIDTH = 9;

const WORDS: Readonly<Record<Phase, string>> = {
  preflight: 'checking the request, the image and the printer',
  stop: 'stopping Klipper',
  enter: 'bringing the board into DFU mode by BOOT0 and reset',
  backup: 'reading what is there, and keeping it',
  erase: 'erasing the sectors that differ',
  write: 'writing',
  verify: 'reading every byte back',
  boot: 'booting: a reset with BOOT0 floating',
  confirm: 'waiting for the board, and asking it who it is',
  printer: 'waiting for Klipper',
};
