// Klipper: told by its start-up code and its data dictionary, which together also tell where it is linked.
import { hasWord } from './bytes.ts';
import { type Dictionary, type DictionaryContents, findDictionaries } from './dictionary.ts';
import { NOTHING_KNOWN, type Traits, type Transport } from './passport.ts';
import { extent, klipperSecondStage, isKlipperFirstStage } from './startup.ts';
import type { Vectors } from './vectors.ts';

/** `bases` are the addresses it may be linked at, the likeliest first. */
export function recognizeKlipper(
  bytes: Uint8Array,
  vectors: Vectors,
  bases: readonly number[],
): Traits | undefined {
  const startable = bases.filter((base) => isKlipperFirstStage(bytes, vectors.entry - base));
  if (startable.length === 0) return undefined;
  const linked = linkBase(bytes, startable, findDictionaries(bytes));
  if (linked !== undefined) {
    const { contents } = linked.dictionary;
    const { programBytes, isCut } = extent(bytes, linked.base, secondStageAt(bytes, vectors, linked.base));
    // The dictionary stands behind all code: where it is whole, only a known length can prove that something is missing.
    return {
      ...describe(contents),
      linkAddress: linked.base,
      programBytes,
      isCut: contents === null || (programBytes !== null && isCut),
    };
  }
  // Without a dictionary that fits, the values that the first stage loads must be right as well.
  for (const base of startable) {
    const secondStage = secondStageAt(bytes, vectors, base);
    if (secondStage === undefined) continue;
    return { ...describe(null), linkAddress: base, ...extent(bytes, base, secondStage) };
  }
  return undefined;
}

/**
 * The link base is the one for which the first instructions are at the reset vector and the address of the dictionary stands
 * among the literals. One test alone has false matches in real images, and rounding the reset vector down is a guess.
 */
function linkBase(
  bytes: Uint8Array,
  bases: readonly number[],
  dictionaries: readonly Dictionary[],
): { base: number; dictionary: Dictionary } | undefined {
  for (const base of bases) {
    const dictionary = dictionaries.find(({ offset }) => hasWord(bytes, base + offset));
    if (dictionary !== undefined) return { base, dictionary };
  }
  return undefined;
}

function secondStageAt(bytes: Uint8Array, vectors: Vectors, base: number): number | undefined {
  return klipperSecondStage(bytes, base, vectors.entry - base, vectors.initialStackPointer);
}

function describe(contents: DictionaryContents | null): Traits {
  if (contents === null) {
    return {
      ...NOTHING_KNOWN,
      kind: 'klipper',
      damage: 'its data dictionary is missing, cut off or damaged',
    };
  }
  const { config, version } = contents;
  const mcu = config['MCU'];
  return {
    ...NOTHING_KNOWN,
    kind: 'klipper',
    version,
    mcu: typeof mcu === 'string' ? mcu : null,
    transport: transport(config),
    canFrequency: positive(config['CANBUS_FREQUENCY']),
    clockFrequency: positive(config['CLOCK_FREQ']),
  };
}

/** Constants that only the code of one transport declares: src/generic/usb_canbus.c, canbus.c, serial_irq.c, src/stm32/usbotg.c. */
function transport(config: Readonly<Record<string, unknown>>): Transport | null {
  if (config['CANBUS_BRIDGE'] !== undefined) return 'bridge';
  if (config['CANBUS_FREQUENCY'] !== undefined) return 'can';
  if (config['SERIAL_BAUD'] !== undefined) return 'serial';
  return config['RESERVE_PINS_USB'] === undefined ? null : 'usb';
}

function positive(value: unknown): number | null {
  return typeof value === 'number' && value > 0 ? value : null;
}
