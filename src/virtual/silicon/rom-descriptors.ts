// virtual silicon: the ROM bootloader's USB descriptors, byte for byte as recorded (real-silicon.md section 5).
import type { RomSettings } from './rom-settings.ts';
import { flashSizeBytes } from './silicon.ts';
import type { McuSilicon } from './silicon.ts';

export interface RomDescriptors {
  readonly device: Uint8Array;
  readonly configuration: Uint8Array;
  /** String descriptors as sent, with their header, by index. */
  readonly strings: ReadonlyMap<number, Uint8Array>;
  readonly alternateSettings: number;
  readonly transferSize: number;
  /** The flash that the memory string promises. */
  readonly claimedFlashBytes: number;
}

const K = 1024;

/** dfu-util device-logs@fdc72a8: bcdUSB 1.00, EP0 64, 0483:df11, bcdDevice 22.00, strings 1/2/3. */
const F4_DEVICE = '12 01 00 01 00 00 00 40 83 04 11 df 00 22 01 02 03 01';
/** CubeProgrammer dump, community.st.com 0D53W00000HM7kF: bcdUSB 2.00, bcdDevice 2.00. */
const H7_DEVICE = '12 01 00 02 00 00 00 40 83 04 11 df 00 02 01 02 03 01';

/** Same log: 54 bytes, iConfiguration 0, self powered, 100 mA, iInterface 4-7, one functional descriptor. */
const F4_CONFIGURATION = `
  09 02 36 00 01 01 00 c0 32
  09 04 00 00 00 fe 01 02 04
  09 04 00 01 00 fe 01 02 05
  09 04 00 02 00 fe 01 02 06
  09 04 00 03 00 fe 01 02 07
  09 21 0b ff 00 00 08 1a 01`;
/**
 * Same dump: 36 bytes, iConfiguration 2, iInterface 6. UNPROVEN (section 9.3), no other reading known: iInterface 7
 * of alt 1 was cut off, and the functional descriptor's bytes are G4's with H723's transfer size of 1024.
 */
const H7_CONFIGURATION = `
  09 02 24 00 01 01 02 c0 32
  09 04 00 00 00 fe 01 02 06
  09 04 00 01 00 fe 01 02 07
  09 21 0b ff 00 00 04 1a 01`;

/** USB 2.0 table 9-15; US English as everywhere. */
const LANGUAGES = '04 03 09 04';

const F4_FLASH_512K = '@Internal Flash  /0x08000000/04*016Kg,01*064Kg,03*128Kg';
const F4_FLASH_1M = '@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg';
const H7_FLASH_1M = '@Internal Flash   /0x08000000/8*128Kg';
/** The kind reading of a string that nobody has seen: one that fits a 512K part. */
const H7_FLASH_512K = '@Internal Flash   /0x08000000/4*128Kg';

const F4_OTHERS = [
  '@Option Bytes  /0x1FFFC000/01*016 e',
  '@OTP Memory /0x1FFF7800/01*512 e,01*016 e',
  '@Device Feature/0xFFFF0000/01*004 e',
] as const;
/** OCTOPUS-Pro#3, inav#2601: the F42x lists the option bytes of both banks. */
const F42X_OPTION_BYTES = '@Option Bytes  /0x1FFFC000/01*016 e/0x1FFEC000/01*016 e';

/** OCTOPUS-Pro#3, dfu-util 4f00679: the 1 MB F42x says the length of the 2 MB string and sends its own 112. */
const F42X_WRONG_LENGTH = 166;

export function romDescriptors(
  mcu: McuSilicon,
  settings: Pick<RomSettings, 'serialAddend' | 'claimsLargestFlash'>,
  uid: Uint8Array,
): RomDescriptors {
  const h7 = mcu.family === 'h7';
  const largest = settings.claimsLargestFlash || flashSizeBytes(mcu) > 512 * K;
  const texts = new Map<number, string>([
    [1, 'STMicroelectronics'],
    [2, h7 ? 'DFU in FS Mode' : 'STM32  BOOTLOADER'],
    [3, serial(mcu, settings, uid)],
  ]);
  if (h7) {
    texts.set(6, largest ? H7_FLASH_1M : H7_FLASH_512K);
    texts.set(7, '@Option Bytes   /0x5200201C/01*88 e');
  } else {
    texts.set(4, largest ? F4_FLASH_1M : F4_FLASH_512K);
    F4_OTHERS.forEach((text, i) => texts.set(5 + i, text));
    if (mcu.name === 'stm32f429xx') texts.set(5, F42X_OPTION_BYTES);
  }
  const strings = new Map([[0, bytes(LANGUAGES)]]);
  for (const [index, text] of texts) strings.set(index, stringDescriptor(text));
  if (mcu.name === 'stm32f429xx') strings.get(4)?.set([F42X_WRONG_LENGTH], 0);
  return {
    device: bytes(h7 ? H7_DEVICE : F4_DEVICE),
    configuration: bytes(h7 ? H7_CONFIGURATION : F4_CONFIGURATION),
    strings,
    alternateSettings: h7 ? 2 : 4,
    transferSize: h7 ? 1024 : 2048,
    claimedFlashBytes: largest ? 1024 * K : 512 * K,
  };
}

/** The text of a string descriptor as a host reads it: as far as bytes came, whatever bLength says. */
export function stringText(descriptor: Uint8Array): string {
  return new TextDecoder('utf-16le').decode(descriptor.subarray(2));
}

function serial(mcu: McuSilicon, settings: Pick<RomSettings, 'serialAddend'>, uid: Uint8Array): string {
  // F446 does not know its own UID: 4 chips alike, TAStm32#71.
  return mcu.name === 'stm32f446xx' ? 'STM32FxSTM32' : uidSerial(uid, settings.serialAddend);
}

/**
 * hex8(UID0 + UID2 + addend) hex4(UID1 >> 16): qa-community 118169, libopencm3#760, panda dfu.py@0645c57.
 * UNPROVEN whether the addend carries past the low byte or half-word; here it carries through the word.
 */
export function uidSerial(uid: Uint8Array, addend: number): string {
  const words = new DataView(uid.buffer, uid.byteOffset, 12);
  const low = (words.getUint32(0, true) + words.getUint32(8, true) + addend) >>> 0;
  const high = words.getUint32(4, true) >>> 16;
  return (low.toString(16).padStart(8, '0') + high.toString(16).padStart(4, '0')).toUpperCase();
}

function stringDescriptor(text: string): Uint8Array {
  const units = Array.from(text, (char) => [char.charCodeAt(0) & 0xff, char.charCodeAt(0) >> 8]).flat();
  return Uint8Array.of(2 + units.length, 3, ...units);
}

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.trim().split(/\s+/), (pair) => Number.parseInt(pair, 16));
}
