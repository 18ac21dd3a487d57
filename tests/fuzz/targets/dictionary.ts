// Fuzz: Klipper's data dictionary, as a running Klipper sends it and as it lies in an image. Spoilt before it was packed and
// after: what is read is what a second reader finds in it.
import { deflateSync, inflateSync } from 'node:zlib';
import {
  findDictionaries,
  readDictionary,
  type DictionaryContents,
} from '../../../src/firmware/dictionary.ts';
import { forgeDictionary } from '../../../src/virtual/forge-dictionary.ts';
import { dictionaryOf, noise } from '../../firmware/build-image.ts';
import { join, mutateBytes } from '../bytes.ts';
import { mutateJsonText, type Json } from '../json.ts';
import type { Random } from '../random.ts';
import { holds, target, type Fate } from '../target.ts';

const REAL = forgeDictionary({
  mcu: 'stm32f446xx',
  version: 'v0.13.0-1-gabcdef0',
  transport: 'usb',
  canFrequency: 0,
  seed: 1,
});
const PACKED: readonly Uint8Array[] = [
  dictionaryOf('v0.13.0-1-gabcdef0', { MCU: 'stm32f446xx', CLOCK_FREQ: 180_000_000 }),
  dictionaryOf('v0.10.0', { MCU: 'stm32f072xb', CANBUS_FREQUENCY: 500_000 }, false),
];
const SMALL: Json = {
  app: 'Klipper',
  build_versions: 'gcc: 12.2',
  commands: { 'allocate_oids count=%c': 2, 'identify offset=%u count=%c': 1 },
  config: { CLOCK_FREQ: 180_000_000, MCU: 'stm32f446xx', RESERVE_PINS_USB: 'PA11,PA12' },
  version: 'v0.13.0-1-gabcdef0',
};

export const dictionary = target<Uint8Array>({
  name: 'dictionary',
  show: (bytes) => bytes,
  input: (random) => {
    switch (random.below(8)) {
      case 0:
        return random.oneIn(8) ? mutateBytes(random, REAL) : (PACKED[0] ?? REAL);
      case 1:
      case 2:
        return mutateBytes(random, random.pick(PACKED), { others: PACKED });
      default:
        return repacked(random);
    }
  },
  check: (bytes): Fate => {
    const read = readDictionary(bytes);
    const second = readAgain(bytes);
    holds(written(read) === written(second), `read as ${show(read)}, there is ${show(second)}`);
    const image = join(noise(40), bytes, noise(20));
    const found = findDictionaries(image);
    const isThere = found.some(({ offset, contents }) => offset === 40 && contents !== null);
    holds(
      isThere === (read !== undefined && bytes[0] === 0x78 && bytes[1] === 0xda),
      'in an image it is another',
    );
    for (const { offset } of found) holds(offset >= 0 && offset < image.length, `found at ${offset}`);
    return read === undefined ? 'none' : 'taken';
  },
  fates: ['none', 'taken'],
});

/** A value may be nested deeper than it can be written down; it was read all the same. */
function written(value: unknown): string {
  try {
    return JSON.stringify(value) ?? '';
  } catch {
    return 'too deep to be written';
  }
}

function repacked(random: Random): Uint8Array {
  const text = mutateJsonText(random, SMALL);
  const packed = deflateSync(text, { level: random.oneIn(8) ? 1 : 9 });
  return random.oneIn(3) ? mutateBytes(random, packed, { most: 2 }) : packed;
}

/** zlib, then JSON, then the keys that Klipper's host needs (klippy/msgproto.py). */
function readAgain(bytes: Uint8Array): DictionaryContents | undefined {
  let whole: unknown;
  let text: string;
  try {
    text = inflateSync(bytes, { maxOutputLength: 262_144 }).toString('latin1');
    whole = JSON.parse(text);
  } catch {
    return undefined;
  }
  const begins = ['"app"', '"build_versions"'].some((key) => {
    const rest = text.slice(1).trimStart();
    return rest.startsWith(key) && rest.slice(key.length).trimStart().startsWith(':');
  });
  if (!text.startsWith('{') || !begins || !isObject(whole)) return undefined;
  const { version, config, commands } = whole;
  if (typeof version !== 'string' || !isObject(config) || !isObject(commands)) return undefined;
  return { version, config };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  Object.prototype.toString.call(value) === '[object Object]';

const show = (value: unknown) => written(value).slice(0, 300);
