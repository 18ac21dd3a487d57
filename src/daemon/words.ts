// Daemon, what the printer's console is told: short lines in ASCII, without what G-code would stumble over.
import type { OctopusError } from '../errors.ts';
import type { JobEvent } from '../jobs/job.ts';
import { summaryOf } from './summary.ts';

export interface Saying {
  readonly isError: boolean;
  readonly lines: readonly string[];
}

/** Klipper's console wraps nothing; longer lines are cut. */
const LINE_MAX = 240;
/** More than this floods the console. */
const LINES_MAX = 30;

type End = Extract<JobEvent, { kind: 'ended' }>;

/** @param plan what the job said that it would do */
export function sayEnd({ method, board, state, result, error }: End, plan: string | undefined): Saying {
  const what = method.replace(/^octopus\./, '');
  if (error !== undefined) {
    const isCancelled = state === 'cancelled';
    const first = isCancelled
      ? `${what} of ${board} was cancelled.`
      : `${what} of ${board} failed: ${error.message}`;
    const onBoard = error.onBoard === undefined ? [] : [error.onBoard];
    return { isError: !isCancelled, lines: [first, ...onBoard, error.advice] };
  }
  const isPlan = result !== undefined && 'state' in result && result.state === 'planned';
  const summary = result === undefined ? [] : summaryOf(method, result);
  if (!isPlan || plan === undefined) return { isError: false, lines: summary };
  return { isError: false, lines: [plan, ...notesOf(result), 'Nothing was touched. To do it: CONFIRM=1.'] };
}

function notesOf(result: object): readonly string[] {
  const notes: unknown = 'notes' in result ? result.notes : undefined;
  return Array.isArray(notes) ? notes.filter((note) => typeof note === 'string') : [];
}

export function sayRefusal(method: string, error: OctopusError): Saying {
  return { isError: true, lines: [`${method.replace(/^octopus\./, '')}: ${error.message}`, error.advice] };
}

/** What Klipper's console can speak with now. */
export interface Voices {
  readonly respond: boolean;
  readonly sayMacro: boolean;
  readonly notifyMacro: boolean;
}

/** The script that says it; undefined where nothing can. RESPOND works in every state of Klipper. */
export function scriptOf({ isError, lines }: Saying, voices: Voices): string | undefined {
  if (!voices.respond && !voices.sayMacro) return undefined;
  return lines
    .slice(0, LINES_MAX)
    .map((line) => {
      const text = `Octopus: ${plain(line)}`;
      if (!voices.respond) return `_OCTOPUS_SAY MSG="${text}"`;
      return isError ? `RESPOND TYPE=error MSG="${text}"` : `RESPOND TYPE=command MSG="${text}"`;
    })
    .join('\n');
}

export function notifyScriptOf(notifier: string, { lines }: Saying): string {
  return `_OCTOPUS_NOTIFY NAME="${plain(notifier)}" MSG="${plain(lines.join(' '))}"`;
}

/** Klipper splits a command like a shell (klippy/gcode.py): no quotes, no backslashes, no comments, one line. */
export function plain(text: string): string {
  const safe = text
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/["`\\]/g, "'")
    .replaceAll(/[;#*{}]/g, ',');
  const ascii = safe.replaceAll(/[^ -~]/gu, '?').trim();
  return ascii.length <= LINE_MAX ? ascii : `${ascii.slice(0, LINE_MAX - 3)}...`;
}
