// The daemon as a process of its own, and its log as it comes.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export const OCTOPUS = join(import.meta.dirname, '../../../bin/octopus');

/** A line of its log: pino's, with `--verbose` down to single transfers. */
export interface LogLine {
  /** Date.now() of the same host. */
  readonly time: number;
  readonly msg: string;
  /** Of `lines`. */
  readonly levels?: { readonly boot0?: string; readonly nrst?: string };
  readonly [key: string]: unknown;
}

const PATIENCE_MS = 30_000;

export class DaemonProcess {
  readonly log: LogLine[] = [];
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | string>;
  #listeners = new Set<() => void>();
  #rest = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = new Promise((resolve) =>
      child.once('close', (code, signal) => resolve(code ?? signal ?? 'gone')),
    );
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#hear(text));
    void this.#exited.then(() => this.#wake());
  }

  static start(words: readonly string[]): DaemonProcess {
    return new DaemonProcess(spawn(OCTOPUS, ['daemon', ...words], { stdio: ['ignore', 'ignore', 'pipe'] }));
  }

  /** The first line that says so. */
  said(msg: string): Promise<LogLine> {
    return this.#line(msg, (line) => line.msg === msg);
  }

  /** The line about an event of a job; Moonraker is not asked. */
  reached(job: string, phase: string): Promise<LogLine> {
    const is = (line: LogLine) => line.msg === 'job' && line['job'] === job && line['phase'] === phase;
    return this.#line(`phase ${phase}`, is);
  }

  /** The changes of its lines, in order. */
  lines(since = 0): (LogLine & { isDriven: boolean })[] {
    return this.log
      .slice(since)
      .filter(({ msg }) => msg === 'lines')
      .map((line) => ({
        ...line,
        isDriven: line.levels?.boot0 === 'high' || line.levels?.nrst === 'low',
      }));
  }

  /** Its log without the single transfers. */
  tail(): string {
    const told = this.log.filter(({ msg }) => !msg.startsWith('control '));
    return told
      .slice(-40)
      .map((line) => JSON.stringify(line))
      .join('\n');
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Its exit code, or the signal that ended it. */
  get exited(): Promise<number | string> {
    return this.#exited;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async kill(): Promise<void> {
    if (!this.isRunning) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }

  async #line(what: string, is: (line: LogLine) => boolean): Promise<LogLine> {
    const until = Date.now() + PATIENCE_MS;
    for (;;) {
      const line = this.log.find(is);
      if (line !== undefined) return line;
      if (Date.now() > until || !this.isRunning)
        throw new Error(`the daemon did not say "${what}":\n${this.tail()}`);
      await this.#next(until - Date.now());
    }
  }

  #hear(text: string): void {
    const parts = (this.#rest + text).split('\n');
    this.#rest = parts.pop() ?? '';
    for (const part of parts) {
      // What is no JSON is the launcher's or Node's own complaint.
      this.log.push(lineOf(part));
    }
    this.#wake();
  }

  #wake(): void {
    for (const listener of this.#listeners) listener();
  }

  #next(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#listeners.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, Math.max(0, ms));
      this.#listeners.add(wake);
    });
  }
}

/** The log writes its times for people to read. */
function lineOf(part: string): LogLine {
  if (!part.startsWith('{')) return { time: Date.now(), msg: part };
  const line: LogLine & { readonly time: number | string } = JSON.parse(part);
  return { ...line, time: new Date(line.time).getTime() };
}
