// Command line: the bar of a job on a terminal.
import cliProgress from 'cli-progress';
import type { FlashEvent } from '../flash/report.ts';
import type { Course, Position } from './course.ts';
import { ascii, type Output } from './output.ts';
import type { Progress } from './progress.ts';

const STEPS = 1000;

export class Bar implements Progress {
  readonly #course: Course;
  readonly #screen: cliProgress.MultiBar;
  readonly #bar: cliProgress.SingleBar;
  #hasEnded = false;

  constructor(output: Output, course: Course, minColumns: number) {
    const { out } = output.streams;
    this.#course = course;
    // MultiBar, because it can print a line above the bar; it holds one.
    this.#screen = new cliProgress.MultiBar({
      stream: out,
      format: '{phase} [{bar}] {percentage}%  {rate}  {left}',
      barCompleteChar: '=',
      barIncompleteChar: '-',
      barsize: Math.min(40, (out.columns ?? 80) - minColumns + 15),
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
