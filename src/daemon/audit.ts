// Daemon, the audit log: who asked for what, through which door, and how it ended. JSON lines, for the owner alone.
// A flood of questions is counted, so that it cannot wash a change out of the log.
import type { OctopusError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Clock } from '../ports/clock.ts';
import { KeptLines } from './kept-lines.ts';
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

export class Audit {
  readonly #clock: Clock;
  readonly #lines: KeptLines;
  readonly #questions = new Map<string, { writtenAt: number; more: number; line: object }>();

  constructor(file: string, clock: Clock, log: Logger) {
    this.#clock = clock;
    // A disk that is full stops no printer; the journal of a job is what its safety rests on.
    this.#lines = new KeptLines({
      file,
      size: '1M',
      keep: 5,
      clock,
      lostLine: (lost) => this.#line({ lost }),
      onTrouble: (error) => log.error({ err: error }, 'the audit log cannot be written'),
    });
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
    await this.#lines.close();
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
    this.#lines.write(this.#line(line));
  }

  #line(line: object): string {
    return `${JSON.stringify({ time: new Date(this.#clock.date()).toISOString(), ...line })}\n`;
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
