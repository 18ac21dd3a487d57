// Configuration: the values of one section, each with its type, and a complaint that names its line.
import type { OctopusError } from '../errors.ts';
import { complaint, quoted, suggestion } from './complaint.ts';
import type { ConfigDocument, Entry, Section } from './sections.ts';

const MAX_VALUE_LETTERS = 4096;
/** The words that Python's configparser takes, so Klipper's and Moonraker's. */
const BOOLEANS: Readonly<Record<string, boolean>> = {
  '1': true,
  yes: true,
  true: true,
  on: true,
  '0': false,
  no: false,
  false: false,
  off: false,
};

export interface Range {
  readonly min?: number;
  readonly max?: number;
}

/**
 * Every getter answers undefined when the key is not there, and throws `bad-config` when its value is none.
 * Asking for a key makes it a known one: `finish` refuses the rest.
 */
export class SectionReader {
  readonly name: string;
  readonly #file: string;
  readonly #section: Section | undefined;
  readonly #asked = new Set<string>();

  /** A section that is not there reads like an empty one. */
  constructor(document: ConfigDocument, name: string) {
    this.name = name;
    this.#file = document.file;
    this.#section = document.sections.get(name);
  }

  /** A text on one line that is not empty. */
  text(key: string): string | undefined {
    const entry = this.#entry(key);
    if (entry === undefined) return undefined;
    if (entry.value === '')
      throw this.refuse(key, `${key} has no value`, 'Write one behind the colon, or delete the line.');
    if (entry.value.includes('\n')) {
      const advice = 'Write it on one line. Are the lines below indented by mistake?';
      throw this.refuse(key, `${key} has several lines`, advice);
    }
    if (entry.value.length > MAX_VALUE_LETTERS) {
      throw this.refuse(key, `${key} is too long`, `At most ${MAX_VALUE_LETTERS} letters.`);
    }
    return entry.value;
  }

  integer(key: string, range: Range = {}): number | undefined {
    return this.#number(key, 'a whole number', /^[+-]?\d{1,15}$/, range);
  }

  number(key: string, range: Range = {}): number | undefined {
    return this.#number(key, 'a number', /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i, range);
  }

  boolean(key: string): boolean | undefined {
    const value = this.text(key);
    if (value === undefined) return undefined;
    const word = value.toLowerCase();
    const found = Object.hasOwn(BOOLEANS, word) ? BOOLEANS[word] : undefined;
    if (found !== undefined) return found;
    throw this.refuse(
      key,
      `${key} cannot be ${quoted(value)}`,
      'Allowed: yes, no, true, false, on, off, 1, 0.',
    );
  }

  choice<T extends string>(key: string, words: readonly T[]): T | undefined {
    const value = this.text(key);
    if (value === undefined) return undefined;
    const found = words.find((word) => word === value) ?? words.find((word) => word === value.toLowerCase());
    if (found !== undefined) return found;
    throw this.refuse(key, `${key} cannot be ${quoted(value)}`, suggestion(value, words, 'values'));
  }

  /** Parts between commas or on lines of their own; an empty value is an empty list. */
  list(key: string): readonly string[] | undefined {
    return this.#entry(key)
      ?.value.split(/[,\n]/)
      .map((part) => part.trim())
      .filter((part) => part !== '');
  }

  /** The error for a value of `key` that the caller does not take. */
  refuse(key: string, message: string, advice: string): OctopusError {
    return complaint(this.#file, this.lineOf(key), `[${this.shown}] ${message}`, advice);
  }

  /** Where a key stands, else the header of its section. */
  lineOf(key: string): number | undefined {
    return this.#section?.entries.get(key)?.firstLine ?? this.#section?.line;
  }

  /** The section's name as messages show it. */
  get shown(): string {
    return quoted(this.name).slice(1, -1);
  }

  /** Every key that is there; the reader of a list of names needs them. */
  keys(): readonly string[] {
    return [...(this.#section?.entries.keys() ?? [])];
  }

  unusedKeys(): readonly Entry[] {
    return [...(this.#section?.entries.values() ?? [])].filter(({ key }) => !this.#asked.has(key));
  }

  /** Refuses the first key that nobody asked for. `elsewhere` tells where a key belongs that others have. */
  finish(elsewhere: Readonly<Record<string, string>> = {}): void {
    const [first] = this.unusedKeys();
    if (first === undefined) return;
    const { key } = first;
    throw this.refuse(
      key,
      `does not take the key ${quoted(key)}`,
      (Object.hasOwn(elsewhere, key) ? elsewhere[key] : undefined) ??
        suggestion(key, [...this.#asked], 'keys'),
    );
  }

  #number(key: string, kind: string, form: RegExp, { min, max }: Range): number | undefined {
    const value = this.text(key);
    if (value === undefined) return undefined;
    const found = form.test(value) ? Number(value) : Number.NaN;
    const isInRange =
      found >= (min ?? Number.NEGATIVE_INFINITY) && found <= (max ?? Number.POSITIVE_INFINITY);
    if (Number.isFinite(found) && isInRange) return found;
    const from = min === undefined ? '' : ` from ${min}`;
    const to = max === undefined ? '' : ` to ${max}`;
    throw this.refuse(key, `${key} cannot be ${quoted(value)}`, `Allowed: ${kind}${from}${to}.`);
  }

  #entry(key: string): Entry | undefined {
    this.#asked.add(key);
    return this.#section?.entries.get(key);
  }
}
