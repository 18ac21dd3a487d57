// Jobs, on disk: each step of a job before it is done, so that the next start knows how far a dead one came.
import {
  array,
  boolean,
  enums,
  nullable,
  number,
  object,
  optional,
  record,
  string,
  type Infer,
} from 'superstruct';
import { seal, unseal } from '../kept.ts';
import type { Clock } from '../ports/clock.ts';
import type { Recorder, Step } from '../ports/recorder.ts';
import type { Store } from '../ports/store.ts';

const StepKinds = [
  'stop-klipper',
  'start-klipper',
  'power',
  'enter',
  'lines',
  'erase',
  'write',
  'boot',
] as const;

const Pages = object({
  job: string(),
  method: string(),
  board: string(),
  startedAt: string(),
  /** Null while the job runs, and for ever if its process died. */
  endedAs: nullable(enums(['done', 'failed', 'cancelled'])),
  /** A later start found Klipper stopped by it and started it. */
  klipperStarted: optional(boolean()),
  /** A later start has switched the power device on that it had left off. */
  powerOn: optional(boolean()),
  /** A later start found it unfinished and let the lines float. */
  linesFloated: optional(boolean()),
  /** A later start has looked at the board, and nothing is owed to it. */
  settled: optional(boolean()),
  steps: array(
    object({
      /** Milliseconds since the job began. */
      atMs: number(),
      kind: enums(StepKinds),
      address: optional(number()),
      sizeBytes: optional(number()),
      levels: optional(record(string(), string())),
      device: optional(string()),
      state: optional(enums(['on', 'off'])),
    }),
  ),
});
export type JournalPages = Infer<typeof Pages>;

type JournalKit = { readonly store: Store; readonly clock: Clock };

const keyOf = (board: string) => `journal/${board}.json`;

/**
 * One job's journal. `before` resolves when the step is on the disk. It replaces the board's last journal at its first
 * step: a job that is refused before it has done anything leaves the record of a dead one where it is.
 */
export class Journal implements Recorder {
  readonly #kit: JournalKit;
  readonly #beganAt: number;
  #pages: JournalPages;
  #writing: Promise<void> = Promise.resolve();

  constructor(
    kit: JournalKit,
    { id, method, board }: { readonly id: string; readonly method: string; readonly board: string },
  ) {
    this.#kit = kit;
    this.#beganAt = kit.clock.now();
    const startedAt = new Date(kit.clock.date()).toISOString();
    this.#pages = { job: id, method, board, startedAt, endedAs: null, steps: [] };
  }

  async before(step: Step): Promise<void> {
    const atMs = Math.round(this.#kit.clock.now() - this.#beganAt);
    const { levels, ...plain } = { levels: undefined, ...step };
    const driven = levels === undefined ? {} : { levels: given(levels) };
    this.#pages = { ...this.#pages, steps: [...this.#pages.steps, { atMs, ...plain, ...driven }] };
    await this.#write();
  }

  async close(endedAs: NonNullable<JournalPages['endedAs']>): Promise<void> {
    this.#pages = { ...this.#pages, endedAs };
    if (this.#pages.steps.length > 0) await this.#write();
  }

  /** One after the other: two steps at once must not overtake each other on the way to the disk. */
  #write(): Promise<void> {
    const bytes = seal(this.#pages);
    const write = () => this.#kit.store.write(keyOf(this.#pages.board), bytes);
    const done = this.#writing.then(write, write);
    this.#writing = done;
    return done;
  }
}

/** The journal of the board's last job; undefined too for one that cannot be read. */
export async function lastJob(
  kit: { readonly store: Store },
  board: string,
): Promise<JournalPages | undefined> {
  const bytes = await kit.store.read(keyOf(board));
  const pages = bytes === undefined ? undefined : unseal(bytes, Pages);
  return pages?.board === board ? pages : undefined;
}

/** The journal of the board's last job as it lies on the disk, whatever state it is in; empty where there is none. */
export async function journalText(kit: { readonly store: Store }, board: string): Promise<string> {
  return new TextDecoder().decode(await kit.store.read(keyOf(board)));
}

/** As `lastJob`, if its process died in the middle of it. */
export async function unfinishedJob(
  kit: { readonly store: Store },
  board: string,
): Promise<JournalPages | undefined> {
  const pages = await lastJob(kit, board);
  return pages !== undefined && isDead(pages) ? pages : undefined;
}

/** Notes that the lines of a dead job float again; what it did to the board stays on record. */
export async function noteLinesFloated(kit: { readonly store: Store }, pages: JournalPages): Promise<void> {
  await kit.store.write(keyOf(pages.board), seal({ ...pages, linesFloated: true }));
}

/** Notes that the board of a dead job was looked at and needs nothing. */
export async function noteSettled(kit: { readonly store: Store }, pages: JournalPages): Promise<void> {
  await kit.store.write(keyOf(pages.board), seal({ ...pages, settled: true }));
}

/** Whether its process died in the middle of it, and no later start has settled that. */
export function isDead(pages: JournalPages): boolean {
  return pages.endedAs === null && pages.settled !== true;
}

/** Whether the job of `pages`, dead or not, has left its board in its bootloader, and no later start has looked after it. */
export function leftInBootloader(pages: JournalPages): boolean {
  const last = pages.steps.findLast(({ kind }) => kind === 'enter' || kind === 'boot');
  return isDead(pages) || (last?.kind === 'enter' && pages.settled !== true);
}

/** The power device that the job of `pages` has switched off and not on again. */
export function leftPowerOff(pages: JournalPages): string | undefined {
  const last = pages.steps.findLast(({ kind }) => kind === 'power');
  const isOn = last?.state === 'on' && !isUncertain(pages, last);
  return last === undefined || isOn || pages.powerOn === true ? undefined : last.device;
}

/**
 * Whether the job of `pages` has left Klipper stopped (its process died, or no Moonraker was there at its end), and
 * nobody has started it since.
 */
export function leftKlipperStopped(pages: JournalPages): boolean {
  const last = pages.steps.findLast(({ kind }) => kind.endsWith('-klipper'));
  const isStarted = last?.kind === 'start-klipper' && !isUncertain(pages, last);
  return last !== undefined && !isStarted && pages.klipperStarted !== true;
}

/** On record before it is done: the last step of a job that died may never have been. Done twice it does no harm. */
function isUncertain(pages: JournalPages, step: JournalPages['steps'][number]): boolean {
  return pages.endedAs === null && step === pages.steps.at(-1);
}

/** Notes that Klipper runs again after such a job. */
export const noteKlipperStarted = (kit: { readonly store: Store }, board: string): Promise<void> =>
  noteOnLast(kit, board, { klipperStarted: true });

/** Notes that the power device is on again which it had left off. */
export const notePowerOn = (kit: { readonly store: Store }, board: string): Promise<void> =>
  noteOnLast(kit, board, { powerOn: true });

async function noteOnLast(
  kit: { readonly store: Store },
  board: string,
  news: Pick<JournalPages, 'klipperStarted' | 'powerOn'>,
): Promise<void> {
  const pages = await lastJob(kit, board);
  if (pages !== undefined) await kit.store.write(keyOf(board), seal({ ...pages, ...news }));
}

/** A line that a step leaves as it is does not appear in it. */
function given(levels: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(levels).flatMap(([line, level]) => (level === undefined ? [] : [[line, level]])),
  );
}
