// Configuration: every refusal names the file, the line and the cure, in ASCII.
import { OctopusError, nearest } from '../errors.ts';

const QUOTED_MAX = 60;

/** What a user wrote, fit for a console that takes ASCII only: quoted, escaped, and not longer than a line. */
export function quoted(text: string): string {
  const short = text.length > QUOTED_MAX ? `${text.slice(0, QUOTED_MAX)}...` : text;
  return JSON.stringify(short).replaceAll(
    /[^\x20-\x7e]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** `line` undefined: it is about the whole file. */
export function complaint(
  file: string,
  line: number | undefined,
  message: string,
  advice: string,
): OctopusError {
  return new OctopusError('bad-config', message, {
    place: line === undefined ? file : `${file}:${line}`,
    advice,
  });
}

/** `Did you mean image? Known keys: ...`, or only what is known. */
export function suggestion(given: string, words: readonly string[], what: string): string {
  const meant = nearest(given, words);
  const known = words.length === 0 ? `No ${what} is known here.` : `Known ${what}: ${words.join(', ')}.`;
  return meant === undefined ? known : `Did you mean ${meant}? ${known}`;
}
