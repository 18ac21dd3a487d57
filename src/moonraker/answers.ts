// Moonraker, its answers as values: anything may come, and what is not what was asked for says so.
import { unreachable } from './rpc-errors.ts';
import { isObject, type Params } from './serving.ts';

export type Answer = Params;

/** Throws `printer-unreachable`: whoever asks to be safe gets no guess. */
export function objectAt(answer: unknown, ...path: readonly string[]): Answer {
  let value = answer;
  for (const key of path) value = isObject(value) ? value[key] : undefined;
  if (isObject(value)) return value;
  throw odd(path, value);
}

/** As `objectAt`, and empty where there is none: a Klipper object that this printer does not have. */
export function objectOrEmpty(answer: Answer, key: string): Answer {
  const value = answer[key];
  return isObject(value) ? value : {};
}

export function textAt(answer: Answer, key: string): string {
  const value = answer[key];
  if (typeof value === 'string') return value;
  throw odd([key], value);
}

export function numberAt(answer: Answer, key: string): number {
  const value = answer[key];
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw odd([key], value);
}

export function textsAt(answer: Answer, key: string): readonly string[] {
  const value = answer[key];
  if (!Array.isArray(value)) throw odd([key], value);
  return value.filter((item): item is string => typeof item === 'string');
}

function odd(path: readonly string[], value: unknown) {
  const shown = value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 60);
  // A name in it may be the printer's own, and as long as somebody likes.
  const place = path.join('.').slice(0, 100);
  return unreachable(`Moonraker answers ${shown} for ${place}`, place);
}
