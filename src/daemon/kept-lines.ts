// Daemon, a file of lines that never grows without end: rotating-file-stream keeps it small. A disk that is full or broken
// stops nobody: what was lost is counted, and the file is tried again later.
import { mkdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { createStream, type RotatingFileStream } from 'rotating-file-stream';
import type { Clock } from '../ports/clock.ts';

/** A file that could not be written is tried again after this time. */
const RETRY_MS = 10_000;

export interface KeptLinesParts {
  readonly file: string;
  /** As rotating-file-stream has it: `1M`. */
  readonly size: '1M' | '2M';
  /** Old files that are kept: FILE.1, FILE.2 ... */
  readonly keep: number;
  readonly clock: Clock;
  /** The line that tells how many before it were lost. */
  readonly lostLine: (lost: number) => string;
  readonly onTrouble: (error: unknown) => void;
}

export class KeptLines {
  readonly #parts: KeptLinesParts;
  #stream: RotatingFileStream | undefined;
  #retryAt = Number.NEGATIVE_INFINITY;
  #lost = 0;

  constructor(parts: KeptLinesParts) {
    this.#parts = parts;
    this.#stream = this.#open();
  }

  /** @param line with its end */
  write(line: string): void {
    const { clock, lostLine } = this.#parts;
    if (this.#stream === undefined && clock.now() >= this.#retryAt) this.#stream = this.#open();
    if (this.#stream === undefined) {
      this.#lost++;
      return;
    }
    if (this.#lost > 0) this.#stream.write(lostLine(this.#lost));
    this.#lost = 0;
    this.#stream.write(line);
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.#stream === undefined) resolve();
      else this.#stream.end(() => resolve());
    });
  }

  #open(): RotatingFileStream | undefined {
    const { file, size, keep, clock, onTrouble } = this.#parts;
    const folder = dirname(file);
    const failed = (error: unknown) => {
      this.#stream = undefined;
      this.#retryAt = clock.now() + RETRY_MS;
      onTrouble(error);
    };
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      failed(error);
      return undefined;
    }
    const stream = createStream(basename(file), { path: folder, size, rotate: keep, mode: 0o600 });
    stream.on('error', failed);
    stream.on('warning', onTrouble);
    return stream;
  }
}
