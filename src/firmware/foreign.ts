// Files that people pick by mistake, told by their first bytes, each with the way out.
import { asciiBytes, startsWith, u32 } from './bytes.ts';

interface ForeignFormat {
  readonly magic: Uint8Array;
  readonly what: string;
  readonly advice: string;
}

const OURS = 'Give the klipper.bin or katapult.bin that was built for this board.';
const UNPACK = 'Unpack it and give the .bin inside.';

const FORMATS: readonly ForeignFormat[] = [
  { magic: Uint8Array.of(0x89, 0x50, 0x4e, 0x47), what: 'a PNG picture', advice: OURS },
  { magic: Uint8Array.of(0xff, 0xd8, 0xff), what: 'a JPEG picture', advice: OURS },
  { magic: asciiBytes('%PDF'), what: 'a PDF document', advice: OURS },
  { magic: asciiBytes('PK\x03\x04'), what: 'a zip archive', advice: UNPACK },
  { magic: Uint8Array.of(0x1f, 0x8b), what: 'a gzip archive', advice: UNPACK },
  { magic: Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a), what: 'an xz archive', advice: UNPACK },
  { magic: asciiBytes('7z\xbc\xaf'), what: 'a 7-Zip archive', advice: UNPACK },
  { magic: asciiBytes('Rar!'), what: 'a RAR archive', advice: UNPACK },
  { magic: asciiBytes('!<arch>'), what: 'a library of object files', advice: OURS },
  { magic: asciiBytes('MZ'), what: 'a Windows program', advice: OURS },
  // DfuSe file format, UM0391: a prefix with this signature around one or more images.
  {
    magic: asciiBytes('DfuSe'),
    what: 'a DfuSe (.dfu) container',
    advice: 'Give the .bin or .hex it was made from; dfuse-pack and STM32CubeProgrammer can take it apart.',
  },
];

/** UF2 file format specification: two magic words, and the family at offset 28. */
const UF2_MAGIC = [0x0a324655, 0x9e5d5157] as const;
const UF2_FAMILIES: Readonly<Record<number, string>> = {
  0xe48bff56: 'RP2040',
  0xe48bff59: 'RP2350',
  0x57755a57: 'STM32F4',
};

/** What `make` leaves for an RP2040, seen in builds of Klipper v0.11 to v0.13 and Katapult v0.0.1. */
const UF2_ADVICE =
  'UF2 is for the USB drive of an RP2040. Of Katapult, give the katapult.bin beside it. Klipper built behind Katapult is out/klipper.bin: choose the 16KiB bootloader in make menuconfig, build again and give that; klipper.uf2 is made only without a bootloader. An Octopus takes the klipper.bin built for its STM32.';

/** ESP-IDF, esp_image_header_t: the magic byte, then 1 to 16 segments, then a flash mode of 0 to 5. */
const ESP_MAGIC = 0xe9;

/** Text is what has no control characters in its first kilobyte but tab and line ends, and no 0xFF, which UTF-8 never has. */
const TEXT_SAMPLE = 1024;

export function foreignFormat(file: Uint8Array): { what: string; advice: string } | undefined {
  return FORMATS.find(({ magic }) => startsWith(file, magic)) ?? uf2(file) ?? esp(file) ?? text(file);
}

function uf2(file: Uint8Array): { what: string; advice: string } | undefined {
  if (u32(file, 0) !== UF2_MAGIC[0] || u32(file, 4) !== UF2_MAGIC[1]) return undefined;
  const family = UF2_FAMILIES[u32(file, 28) ?? 0] ?? 'another chip (mostly RP2040)';
  return { what: `a UF2 file, made for ${family}`, advice: UF2_ADVICE };
}

function esp(file: Uint8Array): { what: string; advice: string } | undefined {
  const [magic, segments = 0, mode = 0xff] = file;
  if (magic !== ESP_MAGIC || segments < 1 || segments > 16 || mode > 5) return undefined;
  return { what: 'an image for an ESP8266 or ESP32', advice: OURS };
}

function text(file: Uint8Array): { what: string; advice: string } | undefined {
  const sample = file.subarray(0, TEXT_SAMPLE);
  const isText = sample.every(
    (byte) => (byte >= 0x20 && byte < 0xff) || byte === 0x09 || byte === 0x0a || byte === 0x0d,
  );
  if (!isText) return undefined;
  const words = String.fromCharCode(...sample)
    .trimStart()
    .toLowerCase();
  if (words.startsWith('<!doctype') || words.startsWith('<html')) {
    return {
      what: 'a web page',
      advice: 'The download saved the page around the file. Use its "Raw" or "Download" link.',
    };
  }
  if (/^s0[0-9a-f]{4}/.test(words))
    return { what: 'a Motorola S-record file', advice: 'Give the .bin or .hex.' };
  if (/(^|\n)\s*g(0|1|28)\b/.test(words)) return { what: 'G-code, not firmware', advice: OURS };
  return { what: 'a text file, not firmware', advice: OURS };
}
