// Fuzz: `[section]` and `key: value` as Klipper and Moonraker write them. Taken exactly as a second reader takes them, written
// back byte for byte, and a key that is changed in place changes nothing else.
import { KLIPPER, MOONRAKER, type Dialect } from '../../../src/config/dialect.ts';
import { withValue } from '../../../src/config/edit.ts';
import { decodeConfig, readDocument, serialize, type ConfigDocument } from '../../../src/config/sections.ts';
import { readFileSync } from 'node:fs';
import { mutateBytes } from '../bytes.ts';
import { readCfgTwice, type Cfg } from '../cfg.ts';
import { HOST_FILES, PRINTER_FILES, SETTINGS_FILES, WORDS } from '../conf-files.ts';
import type { Random } from '../random.ts';
import { answerOr, holds, target, type Fate } from '../target.ts';
import { mutateText } from '../text.ts';

interface File {
  readonly bytes: Uint8Array;
  readonly isKlipper: boolean;
  readonly section: string;
  readonly key: string;
  readonly value: string;
}

const MACROS = ['octopus.cfg', 'octopus_shell.cfg'].map((name) =>
  readFileSync(new URL(`../../../macros/${name}`, import.meta.url), 'utf8').slice(0, 1500),
);
const FILES = [...PRINTER_FILES, ...SETTINGS_FILES, ...HOST_FILES, ...MACROS];
const SECTIONS = ['mcu', 'octopus-flasher', 'gcode_macro PRINT_START', 'extruder', 'new one', 'a]b', '', '#'];
const KEYS = ['serial', 'gcode', 'armed', 'pid_kp', 'new', 'a b', '', 'x:y', '[x]', '# c'];
const VALUES = [
  'new',
  'yes',
  '',
  '0',
  'a b',
  'a # b',
  'a ; b',
  ' a',
  'a\nb',
  '\\#',
  '[x]',
  'x: y',
  '\u00e4',
  '\0',
];

export const printerCfg = target<File>({
  name: 'printer-cfg',
  show: ({ bytes }) => bytes,
  input: (random) => ({
    bytes: spoiltFile(random, random.pick(FILES)),
    isKlipper: random.oneIn(2),
    section: random.pick(SECTIONS),
    key: random.pick(KEYS),
    value: random.oneIn(8) ? mutateText(random, random.pick(VALUES)) : random.pick(VALUES),
  }),
  check: ({ bytes, isKlipper, section, key, value }): Fate => {
    const dialect = isKlipper ? KLIPPER : MOONRAKER;
    const met = answerOr(['bad-config'], () => decodeConfig(bytes, 'x.cfg'));
    if ('code' in met) return 'no text';
    const text = met.answer;
    const read = readable(text, dialect);
    const second = readCfgTwice(text, !isKlipper);
    holds(
      (read === undefined) === (second === undefined),
      `${read === undefined ? 'refused' : 'taken'}, unlike a second reader`,
    );
    if (read === undefined || second === undefined) return 'bad-config';
    holds(serialize(read) === text, 'written back it is another text');
    holds(show(cfgOf(read)) === show(second), `read as ${show(cfgOf(read))}, there is ${show(second)}`);
    return checkEdit(read, { section, key, value });
  },
  fates: ['no text', 'bad-config', 'edited', 'not writable'],
});

/** As text, and now and then as bytes, where UTF-8 ends. */
export function spoiltFile(random: Random, file: string): Uint8Array {
  const text = mutateText(random, file, WORDS);
  const bytes = Buffer.from(text, 'utf8');
  return random.oneIn(12) ? mutateBytes(random, bytes, { most: 2 }) : bytes;
}

/** Undefined where it is refused, with a line that is in it. */
function readable(text: string, dialect: Dialect): ConfigDocument | undefined {
  const met = answerOr(['bad-config'], () => readDocument(text, 'x.cfg', dialect));
  return 'code' in met ? undefined : met.answer;
}

function checkEdit(
  document: ConfigDocument,
  { section, key, value }: Pick<File, 'section' | 'key' | 'value'>,
): Fate {
  const met = answerOr(['bad-config'], () => withValue(document, section, key, value));
  if ('code' in met) return 'not writable';
  const before = cfgOf(document);
  const after = readCfgTwice(met.answer, document.dialect === MOONRAKER);
  holds(after?.get(section)?.get(key) === value, 'the new value is not read back');
  holds(
    show(without(after, section, key)) === show(without(before, section, key)),
    'other values have changed',
  );
  const again = readDocument(met.answer, 'x.cfg', document.dialect);
  // Without a value the spaces around it are nobody's.
  const isSame = value === '' || withValue(again, section, key, value) === met.answer;
  holds(isSame, 'written once more it is another text');
  return 'edited';
}

function cfgOf({ sections }: ConfigDocument): Cfg {
  return new Map(
    [...sections].map(([name, { entries }]) => [
      name,
      new Map([...entries].map(([key, entry]) => [key, entry.value])),
    ]),
  );
}

/** The section itself may be new, and empty without the key. */
function without(cfg: Cfg, section: string, key: string): Cfg {
  const rest = new Map(cfg);
  const own = new Map(rest.get(section) ?? []);
  own.delete(key);
  if (own.size === 0) rest.delete(section);
  else rest.set(section, own);
  return rest;
}

const show = (cfg: Cfg) => JSON.stringify(sorted([...cfg].map(([name, keys]) => [name, sorted([...keys])])));

function sorted<T>(entries: (readonly [string, T])[]): (readonly [string, T])[] {
  return entries.sort(([one], [other]) => (one < other ? -1 : 1));
}
