// Virtual bench: data that lies in a folder, one JSON file for each thing, named after it.
import { readdirSync, readFileSync } from 'node:fs';
import { OctopusError } from '../errors.ts';

export interface JsonFolder<T> {
  /** What lies there, in order. */
  names(): string[];
  /** Throws `unknown-board`. */
  load(name: string): T;
}

/**
 * @param folder ends with a slash
 * @param what one of them is called, for messages: `virtual board`
 */
export function jsonFolder<T extends { readonly name: string }>(folder: URL, what: string): JsonFolder<T> {
  const names = (): string[] =>
    readdirSync(folder)
      .filter((file) => file.endsWith('.json'))
      .map((file) => file.slice(0, -'.json'.length))
      .sort();
  const load = (name: string): T => {
    const there = names();
    if (!there.includes(name)) {
      throw new OctopusError('unknown-board', `there is no ${what} "${name}"`, {
        advice: `Use one of: ${there.join(', ')}.`,
      });
    }
    const data: T = JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'));
    return { ...data, name };
  };
  return { names, load };
}
