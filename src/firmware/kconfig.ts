// Kconfig's files: what a .config says, and whether all that was asked for is in what the tree has made of it. Kconfig drops
// what is misspelt or impossible without a word.
import { OctopusError, nearest } from '../errors.ts';

/** By symbol, without `CONFIG_`, the value as it stands there: `y`, `12`, `0x8000`, `"text"`; `n` for "is not set". */
export type Kconfig = ReadonlyMap<string, string>;

const LINE = /^CONFIG_([A-Za-z0-9_]{1,100})=(.*)$/;
const NOT_SET = /^# CONFIG_([A-Za-z0-9_]{1,100}) is not set$/;
/**
 * make includes the file, and its recipes hand the values to a shell: whatever either would act on is refused. No value of
 * Klipper's or Katapult's has such a sign.
 */
const VALUE = /^(?:[ymn]|-?\d+|0x[0-9a-fA-F]+|"[A-Za-z0-9 _.,:!^+/@-]*")$/;
/** Longer than any configuration of theirs by ten times. */
const MOST_LETTERS = 200_000;

/** @param file for errors. Throws `bad-config` with the line of whatever is no value, and of a symbol that stands twice. */
export function readKconfig(text: string, file = '.config'): Kconfig {
  if (text.length > MOST_LETTERS) throw odd(file, 1, 'is far too long for a configuration');
  const values = new Map<string, string>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const [, symbol, value] = LINE.exec(line) ?? [];
    const [, unset] = NOT_SET.exec(line) ?? [];
    const name = symbol ?? unset;
    if (name === undefined) {
      if (line.trim() === '' || line.startsWith('#')) continue;
      throw odd(file, index + 1, `"${line.slice(0, 60)}" is neither a setting nor a comment`);
    }
    if (values.has(name)) throw odd(file, index + 1, `CONFIG_${name} stands there twice`);
    if (value !== undefined && !VALUE.test(value))
      throw odd(file, index + 1, `CONFIG_${name} has the value ${value.slice(0, 60)}`);
    values.set(name, value ?? 'n');
  }
  return values;
}

/** As `readKconfig` reads it. */
export function writeKconfig(values: Kconfig): string {
  return [...values]
    .map(([symbol, value]) =>
      value === 'n' ? `# CONFIG_${symbol} is not set\n` : `CONFIG_${symbol}=${value}\n`,
    )
    .join('');
}

export interface Loss {
  readonly symbol: string;
  readonly wanted: string;
  /** Undefined: it is not in the result at all. */
  readonly found: string | undefined;
  /** The symbol of the result that it may have been meant for. */
  readonly meant: string | undefined;
}

/** What was wanted and is not so. */
export function lossesOf(wanted: Kconfig, result: Kconfig): readonly Loss[] {
  return [...wanted].flatMap(([symbol, value]) => {
    const found = result.get(symbol);
    if (found === value || (found === undefined && value === 'n') || isSameNumber(found, value)) return [];
    const meant = found === undefined ? nearest(symbol, [...result.keys()]) : undefined;
    return [{ symbol, wanted: value, found, meant }];
  });
}

/** Throws `config-dropped`, which names each. @param tree for the words: `Klipper v0.13.0` */
export function refuseLosses(wanted: Kconfig, result: Kconfig, tree: string): void {
  const losses = lossesOf(wanted, result);
  const [first] = losses;
  if (first === undefined) return;
  const told = losses.map(({ symbol, wanted: value, found, meant }) => {
    const instead = found === undefined ? 'is not there' : `became ${found}`;
    return `CONFIG_${symbol}=${value} ${instead}${meant === undefined ? '' : ` (did you mean CONFIG_${meant}?)`}`;
  });
  throw new OctopusError(
    'config-dropped',
    `${tree} does not take all of this configuration: ${told.join('; ')}`,
    {
      place: `CONFIG_${first.symbol}`,
      advice:
        'A symbol that is misspelt, that this version of the tree does not have yet, or that another setting forbids is dropped by Kconfig. Correct it, or update the tree.',
    },
  );
}

/** 0x8000 and 32768; Kconfig writes back what it likes. */
function isSameNumber(one: string | undefined, other: string): boolean {
  const isNumber = /^(-?\d+|0x[0-9a-fA-F]+)$/;
  return one !== undefined && isNumber.test(one) && isNumber.test(other) && Number(one) === Number(other);
}

function odd(file: string, line: number, what: string): OctopusError {
  return new OctopusError('bad-config', `${file} line ${line}: ${what}`, {
    place: `${file}:${line}`,
    advice:
      'Write CONFIG_NAME=y, =n, a number, or a text of letters, digits and _ . , : ! ^ + / @ - in quotes, one to a line.',
  });
}
