// Mutations of JSON: a value of the wrong kind, a key gone, doubled or of a strange name, and more depth than anybody means.
import type { Random } from './random.ts';
import { mutateText } from './text.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

const VALUES: readonly Json[] = [
  null,
  true,
  false,
  0,
  -0,
  -1,
  1,
  0.5,
  255,
  65_536,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  -(2 ** 53),
  1e21,
  1e308,
  -1e308,
  5e-324,
  '',
  ' ',
  'a',
  '0',
  '..',
  '../../etc/passwd',
  'null',
  '\0',
  '\ud800',
  '\u{1f419}',
  'x'.repeat(300),
  [],
  {},
  [[]],
  [null],
  { a: { b: {} } },
];
const KEYS = [
  '__proto__',
  'constructor',
  'toString',
  'length',
  'then',
  'id',
  'method',
  '',
  'board',
  '0',
] as const;

/** `value` with a few changes in it. */
export function mutateJson(random: Random, value: Json): Json {
  let now = value;
  if (random.oneIn(16)) return now;
  for (let count = random.few(4); count > 0; count--) now = changed(random, now);
  return now;
}

/** As text, which itself may be spoilt. */
export function mutateJsonText(random: Random, value: Json): string {
  const text = JSON.stringify(mutateJson(random, value));
  if (!random.oneIn(4)) return text;
  return random.oneIn(32)
    ? deepened(random, text)
    : mutateText(random, text, ['{', '}', '[', ']', '"', 'null', ',']);
}

/** Walks to some place in the value, and changes it there. */
function changed(random: Random, value: Json): Json {
  if (typeof value === 'object' && value !== null && random.below(5) > 0) {
    if (isList(value)) return value.length === 0 ? [other(random)] : listChanged(random, value);
    return objectChanged(random, value);
  }
  return leafChanged(random, value);
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function listChanged(random: Random, list: readonly Json[]): Json {
  const at = random.below(list.length);
  const all = [...list];
  switch (random.below(5)) {
    case 0:
      all.splice(at, 1);
      break;
    case 1:
      all.splice(at, 0, other(random));
      break;
    case 2: {
      const times = random.oneIn(64) ? random.between(50, 500) : random.between(1, 3);
      all.splice(at, 0, ...Array(times).fill(all[at]));
      break;
    }
    default:
      all[at] = changed(random, all[at] ?? null);
  }
  return all;
}

function objectChanged(random: Random, object: Readonly<Record<string, Json>>): Json {
  const entries = Object.entries(object);
  const at = random.below(entries.length);
  const [key = 'a', value = null] = entries[at] ?? [];
  switch (random.below(6)) {
    case 0:
      entries.splice(at, 1);
      break;
    case 1:
      entries.push([random.pick(KEYS), other(random)]);
      break;
    case 2:
      entries[at] = [mutateText(random, key), value];
      break;
    default:
      entries[at] = [key, changed(random, value)];
  }
  // fromEntries makes `__proto__` a key like any other, as JSON.parse does.
  return Object.fromEntries(entries);
}

function leafChanged(random: Random, value: Json): Json {
  if (random.oneIn(3)) return other(random);
  if (typeof value === 'number')
    return random.pick([value + 1, value - 1, -value, value * 2, value / 2, value * 1e6, Math.trunc(value)]);
  if (typeof value === 'string') return mutateText(random, value);
  if (typeof value === 'boolean') return !value;
  return random.oneIn(2) ? [value] : { a: value };
}

function other(random: Random): Json {
  return random.pick(VALUES);
}

/** One of the text's values wrapped so often that whatever walks it by recursion comes to its end. */
function deepened(random: Random, text: string): string {
  const values = [
    ...text.matchAll(/(?<=[:[,])("(?:[^"\\]|\\.)*"(?!:)|-?\d[\d.e+-]*|true|false|null|\{\}|\[\])/g),
  ];
  if (values.length === 0) return text;
  const { index, 0: value } = random.pick(values);
  const depth = random.pick([10, 500, 20_000]);
  const [open, close] = random.pick([
    ['[', ']'],
    ['{"a":', '}'],
  ] as const);
  return `${text.slice(0, index)}${open.repeat(depth)}${value}${close.repeat(depth)}${text.slice(index + value.length)}`;
}
