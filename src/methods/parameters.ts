// Methods: parameters as data. The same table checks a call from Moonraker and makes the options of the command line.
import {
  array,
  boolean,
  coerce,
  create,
  enums,
  number,
  refine,
  size,
  string,
  type Struct,
} from 'superstruct';
import { OctopusError, nearest } from '../errors.ts';

export interface Parameter<T> {
  /** Also takes the text forms that G-code macros and command lines give. Throws for what is not allowed. */
  parse(given: unknown): T;
  /** The value when it is not given; a parameter without this key is required. */
  readonly fallback?: T;
  readonly help: string;
  /** The values that are allowed, for messages. */
  readonly allowed: string;
  /** How it is written on a command line: `flag` has no value, `list` is `a,b`, `operand` stands without a dash. */
  readonly form: 'flag' | 'list' | 'value' | 'operand';
  /** What stands for the value in help: FILE. */
  readonly metavar: string;
}
export type Parameters = Readonly<Record<string, Parameter<unknown>>>;
export type ValuesOf<P extends Parameters> = {
  readonly [K in keyof P]: P[K] extends Parameter<infer T> ? T : never;
};

/** As long as a path may be (PATH_MAX of Linux). */
const TEXT_MAX = 4096;
const LIST_MAX = 16;

export function text(help: string, metavar: string, form: 'value' | 'operand' = 'value'): Parameter<string> {
  const struct = refine(
    string(),
    'text',
    (value) => value !== '' && value.length <= TEXT_MAX && !value.includes('\0'),
  );
  return {
    parse: by(struct),
    help,
    metavar,
    form,
    allowed: `a text that is not empty, at most ${TEXT_MAX} characters`,
  };
}

/** A whole number from 0 up; 0 unless given. */
export function count(help: string): Parameter<number> {
  const struct = coerce(
    refine(number(), 'count', (value) => Number.isSafeInteger(value) && value >= 0),
    string(),
    (word) => (/^\d{1,15}$/.test(word) ? Number(word) : Number.NaN),
  );
  return {
    parse: by(struct),
    fallback: 0,
    help: `${help} (default: 0)`,
    metavar: 'N',
    form: 'value',
    allowed: 'a whole number from 0 up',
  };
}

function by<T, S>(struct: Struct<T, S>): (given: unknown) => T {
  return (given) => create(given, struct);
}

/** Off unless given; `fallback: true` makes it one that is switched off (`--no-verify`). */
export function flag(help: string, fallback = false): Parameter<boolean> {
  const struct = coerce(
    boolean(),
    enums(['true', 'false', '1', '0']),
    (word) => word === 'true' || word === '1',
  );
  return { parse: by(struct), fallback, help, metavar: '', form: 'flag', allowed: 'true or false' };
}

/** The same parameter, and undefined where it is not given. */
export function optional<T>(parameter: Parameter<T>, help: string): Parameter<T | undefined> {
  return { ...parameter, help, fallback: undefined };
}

/** One of `words`; undefined unless given. */
export function choice<T extends string>(
  help: string,
  metavar: string,
  words: readonly T[],
): Parameter<T | undefined> {
  return {
    parse: by(enums(words)),
    fallback: undefined,
    help,
    metavar,
    form: 'value',
    allowed: `one of: ${words.join(', ')}`,
  };
}

/** Any number of `choices`, as a list or as `a,b`. */
export function choices<T extends string>(
  help: string,
  metavar: string,
  words: readonly T[],
): Parameter<readonly T[]> {
  const struct = coerce(size(array(enums(words)), 0, LIST_MAX), string(), (list) =>
    list.split(',', LIST_MAX + 1).map((word) => word.trim()),
  );
  return {
    parse: by(struct),
    fallback: [],
    help,
    metavar,
    form: 'list',
    allowed: `any of: ${words.join(', ')}`,
  };
}

export function seconds(
  help: string,
  range: { min: number; max: number; fallback: number },
): Parameter<number> {
  const isInRange = refine(number(), 'range', (value) => value >= range.min && value <= range.max);
  const struct = coerce(isInRange, string(), (word) => (word.trim() === '' ? Number.NaN : Number(word)));
  return {
    parse: by(struct),
    fallback: range.fallback,
    help: `${help} (default: ${range.fallback})`,
    metavar: 'SECONDS',
    form: 'value',
    allowed: `a number of seconds from ${range.min} to ${range.max}`,
  };
}

/**
 * The values of a call, checked; a call with anything wrong is refused before it has touched anything.
 * Throws `unknown-parameter` naming the nearest one that exists, `bad-parameter` with what is allowed.
 */
export function checkParameters<P extends Parameters>(
  method: string,
  parameters: P,
  given: Readonly<Record<string, unknown>>,
): ValuesOf<P> {
  const names = Object.keys(parameters);
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(parameters, name)) throw unknownParameter(method, name, names);
  }
  const values: Record<string, unknown> = {};
  for (const [name, parameter] of Object.entries(parameters))
    values[name] = valueOf(method, name, parameter, given[name]);
  if (!isWhole(values, parameters)) throw new TypeError(`${method}: a parameter was not checked`);
  return values;
}

/** Every value came out of its own parameter's `parse`, so its type is that parameter's. */
function isWhole<P extends Parameters>(values: object, parameters: P): values is ValuesOf<P> {
  return Object.keys(parameters).every((name) => Object.hasOwn(values, name));
}

function valueOf(method: string, name: string, parameter: Parameter<unknown>, given: unknown): unknown {
  if (given === undefined) {
    if ('fallback' in parameter) return parameter.fallback;
    throw new OctopusError('bad-parameter', `${method} needs the parameter ${name}`, {
      place: name,
      advice: `Give ${name}: ${parameter.help}.`,
    });
  }
  try {
    return parameter.parse(given);
  } catch (cause) {
    throw new OctopusError('bad-parameter', `${name} of ${method} cannot be ${shown(given)}`, {
      place: name,
      advice: `Allowed: ${parameter.allowed}.`,
      cause,
    });
  }
}

/** A value of megabytes is not repeated in a message. */
function shown(given: unknown): string {
  if (typeof given === 'string' && given.length > 100) return `${JSON.stringify(given.slice(0, 100))}...`;
  const json = JSON.stringify(given) ?? String(given);
  return json.length > 100 ? `${json.slice(0, 100)}...` : json;
}

function unknownParameter(method: string, name: string, names: readonly string[]): OctopusError {
  const meant = nearest(name, names);
  const all = names.length === 0 ? `${method} takes none.` : `${method} takes: ${names.join(', ')}.`;
  return new OctopusError('unknown-parameter', `${method} has no parameter ${shown(name)}`, {
    place: name.slice(0, 100),
    advice: meant === undefined ? all : `Did you mean ${meant}? ${all}`,
  });
}
