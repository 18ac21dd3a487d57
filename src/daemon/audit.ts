// Daemon, the audit log: who asked for what, through which door, and how it ended. JSON lines, for the owner alone.
// rotating-file-stream keeps it small; a flood of questions is counted, so that it cannot wash a change out of the log.
import { mkdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { createStream, type RotatingFileStream } from 'rotating-file-stream';
import type { OctopusError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Clock } from '../ports/clock.ts';
import type { Origin } from './origin.ts';

export interface AuditedRequest {
  readonly origin: Origin;
  readonly method: string;
  readonly params: unknown;
}
export type AuditedOutcome =
  | { readonly kind: 'answered' }
  | { readonly kind: 'job'; readonly job: string }
  | { readonly kind: 'refused'; readonly error: OctopusError };

/** So much of a request's parameters is kept. */
const PARAMS_MAX = 1000;
/** Equal questions, and equal refusals, within this time are one line with their number. */
const SAME_MS = 1000;
const QUESTIONS_MAX = 200;
/** A log that could not be written is tried again after this time. */
const RETRY_MS = 10_000;

export class Audit {
  readonly #file: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #questions = new Map<string, { writtenAt: number; more: number; line: object }>();
  #stream: RotatingFileStream | undefined;
  #retryAt = Number.NEGATIVE_INFINITY;
  #lost = 0;

  constructor(file: string, clock: Clock, log: Logger) {
    this.#file = file;
    this.#clock = clock;
    this.#log = log;
    this.#stream = this.#open();
  }

  request({ origin, method, params }: AuditedRequest, outcome: AuditedOutcome): void {
    const { via, printer } = origin;
    const line = {
      via,
      ...(printer === undefined ? {} : { printer }),
      method: method.slice(0, 100),
      params: shortened(params),
      ...outcomeWords(outcome),
    };
    if (outcome.kind === 'job') this.#write(line);
    else this.#question(line);
  }

  ended(job: { readonly id: string; readonly method: string; readonly board: string }, how: object): void {
    this.#write({ job: job.id, method: job.method, board: job.board, ...how });
  }

  async close(): Promise<void> {
    for (const { more, line } of this.#questions.values())
      if (more > 0) this.#write({ ...line, times: more });
    this.#questions.clear();
    await new Promise<void>((resolve) => {
      if (this.#stream === undefined) resolve();
      else this.#stream.end(() => resolve());
    });
  }

  #question(line: object): void {
    const key = JSON.stringify(line);
    const now = this.#clock.now();
    const same = this.#questions.get(key);
    if (same !== undefined && now - same.writtenAt < SAME_MS) {
      same.more++;
      return;
    }
    this.#write(same === undefined || same.more === 0 ? line : { ...line, times: same.more + 1 });
    this.#questions.delete(key);
    this.#questions.set(key, { writtenAt: now, more: 0, line });
    if (this.#questions.size > QUESTIONS_MAX) this.#forgetOldest();
  }

  #forgetOldest(): void {
    const [oldest] = this.#questions;
    if (oldest === undefined) return;
    const [key, { more, line }] = oldest;
    this.#questions.delete(key);
    if (more > 0) this.#write({ ...line, times: more });
  }

  #write(line: object): void {
    const now = this.#clock.now();
    if (this.#stream === undefined && now >= this.#retryAt) this.#stream = this.#open();
    if (this.#stream === undefined) {
      this.#lost++;
      return;
    }
    const time = new Date(this.#clock.date()).toISOString();
    if (this.#lost > 0) this.#stream.write(`${JSON.stringify({ time, lost: this.#lost })}\n`);
    this.#lost = 0;
    this.#stream.write(`${JSON.stringify({ time, ...line })}\n`);
  }

  /** A disk that is full stops no printer; the journal of a job is what its safety rests on. */
  #open(): RotatingFileStream | undefined {
    const folder = dirname(this.#file);
    const failed = (error: unknown) => {
      this.#stream = undefined;
      this.#retryAt = this.#clock.now() + RETRY_MS;
      this.#log.error({ err: error }, 'the audit log cannot be written');
    };
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      failed(error);
      return undefined;
    }
    const stream = createStream(basename(this.#file), { path: folder, size: '1M', rotate: 5, mode: 0o600 });
    stream.on('error', failed);
    stream.on('warning', (error) => this.#log.warn({ err: error }, 'the audit log'));
    return stream;
  }
}

function outcomeWords(outcome: AuditedOutcome): object {
  if (outcome.kind === 'job') return { outcome: 'job', job: outcome.job };
  if (outcome.kind === 'answered') return { outcome: 'answered' };
  return { outcome: outcome.error.outcome, code: outcome.error.code, message: outcome.error.message };
}

function shortened(params: unknown): unknown {
  const text = JSON.stringify(params) ?? 'null';
  return text.length <= PARAMS_MAX ? params : `${text.slice(0, PARAMS_MAX)}... (${text.length} characters)`;
}
