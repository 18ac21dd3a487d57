// Klipper: told by its start-up code and its data dictionary, which together also tell where it is linked.
import { asciiBytes, hasWord, indexOf } from './bytes.ts';
import { type Dictionary, type DictionaryContents, findDictionaries } from './dictionary.ts';
import { NOTHING_KNOWN, type Traits, type Transport } from './passport.ts';
import { dataCopy, extent, isKlipperFirstStage, klipperSecondStage, runtimeAddress } from './startup.ts';
import type { Vectors } from './vectors.ts';

/** USB_STR_MANUFACTURER, only in builds that talk USB: src/generic/usb_cdc.c, src/generic/usb_canbus.c. */
const USB_NAME = asciiBytes('Klipper', true);

/** `bases` are the addresses it may be linked at, the likeliest first. */
export function recognizeKlipper(
  bytes: Uint8Array,
  vectors: Vectors,
  bases: readonly number[],
): Traits | undefined {
  const startable = bases.filter((base) => isKlipperFirstStage(bytes, vectors.entry - base));
  if (startable.length === 0) return undefined;
  const linked = linkBase(bytes, vectors, startable);
  if (linked !== undefined) {
    const { contents } = linked.dictionary;
    const { programBytes, isCut } = extent(bytes, linked.base, secondStageAt(bytes, vectors, linked.base));
    const own = bytes.subarray(0, programBytes ?? bytes.length);
    // The dictionary stands behind all code: where it is whole, only a known length can prove that something is missing.
    return {
      ...describe(contents, own),
      linkAddress: linked.base,
      programBytes,
      isCut: contents === null || (programBytes !== null && isCut),
    };
  }
  // Without a dictionary that fits, the values that the first stage loads must be right as well.
  for (const base of startable) {
    const secondStage = secondStageAt(bytes, vectors, base);
    if (secondStage === undefined) continue;
    return { ...describe(null, bytes), linkAddress: base, ...extent(bytes, base, secondStage) };
  }
  return undefined;
}

/**
 * The link base is the one for which the first instructions are at the reset vector and the address of the dictionary stands
 * among the literals. One test alone has false matches in real images, and rounding the reset vector down is a guess.
 */
function linkBase(
  bytes: Uint8Array,
  vectors: Vectors,
  bases: readonly number[],
): { base: number; dictionary: Dictionary } | undefined {
  const dictionaries = findDictionaries(bytes);
  for (const base of bases) {
    const secondStage = secondStageAt(bytes, vectors, base);
    const copy = secondStage === undefined ? undefined : dataCopy(bytes, base, secondStage);
    const dictionary = dictionaries.find(({ offset }) => hasWord(bytes, runtimeAddress(base, offset, copy)));
    if (dictionary !== undefined) return { base, dictionary };
  }
  return undefined;
}

function secondStageAt(bytes: Uint8Array, vectors: Vectors, base: number): number | undefined {
  return klipperSecondStage(bytes, base, vectors.entry - base, vectors.initialStackPointer);
}

function describe(contents: DictionaryContents | null, bytes: Uint8Array): Traits {
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
    transport: transport(config, bytes),
    canFrequency: positive(config['CANBUS_FREQUENCY']),
    clockFrequency: positive(config['CLOCK_FREQ']),
  };
}

/**
 * Constants that only the code of one transport declares: src/generic/usb_canbus.c, canbus.c, serial_irq.c, src/stm32/usbotg.c.
 * The USB pins of an RP2040 are no GPIO, so nothing reserves them: there the USB strings are the witness.
 */
function transport(config: Readonly<Record<string, unknown>>, bytes: Uint8Array): Transport | null {
  if (config['CANBUS_BRIDGE'] !== undefined) return 'bridge';
  if (config['CANBUS_FREQUENCY'] !== undefined) return 'can';
  if (config['SERIAL_BAUD'] !== undefined) return 'serial';
  return config['RESERVE_PINS_USB'] !== undefined || indexOf(bytes, USB_NAME) >= 0 ? 'usb' : null;
}

function positive(value: unknown): number | null {
  return typeof value === 'number' && value > 0 ? value : null;
}
