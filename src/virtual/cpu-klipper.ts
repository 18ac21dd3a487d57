// Virtual bench, the virtual CPU: whether what is started is a Klipper, by its data dictionary and the code that reaches it.

import { inflateSync } from 'node:zlib';
import { nothing, type CpuBoard, type KlipperWire, type Place, type Program } from './program.ts';

export function judgeKlipper(bytes: Buffer, board: CpuBoard, { address, mcu: chip }: Place): Program {
  for (let at = bytes.indexOf('78da', 0, 'hex'); at >= 0; at = bytes.indexOf('78da', at + 1, 'hex')) {
    const found = inflateDictionary(bytes.subarray(at));
    if (found === undefined) continue;
    const { config } = found;
    const isLinkedHere =
      chip.family === 'rp2040' ? copiesFrom(bytes, address, at) : bytes.includes(word(address + at));
    if (!isLinkedHere) return nothing('the image was linked for another address');
    const mcu = config['MCU']?.toString() ?? '';
    if (mcu !== board.mcu) return nothing(`built for ${mcu}, the board is a ${board.mcu}`);
    return {
      kind: 'klipper',
      mcu,
      version: found.version,
      transport: wireOf(config),
      canFrequency: numberOf(config['CANBUS_FREQUENCY']),
      linkAddress: address,
      dictionary: Uint8Array.from(found.compressed),
    };
  }
  return nothing('the data dictionary does not inflate: the image is torn');
}

/** klipper-katapult-dfu.md section 2, "Comm type"; an RP2040 names no USB pins. */
function wireOf(config: KlipperConfig): KlipperWire {
  if (config['CANBUS_BRIDGE'] !== undefined) return 'bridge';
  if (config['CANBUS_FREQUENCY'] !== undefined) return 'can';
  return config['SERIAL_BAUD'] === undefined ? 'usb' : 'uart';
}

function numberOf(value: string | number | undefined): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

/** RAM of an RP2040, and Klipper's vectors at its start (.ram_vectortable): 24 of them or more. */
const RP2040_RAM = 0x2000_0000;
/** Stage two and its literals end within so many bytes. */
const RP2040_BOOT_CODE = 0x400;

/**
 * On an RP2040 everything behind stage two is copied to RAM, which names where it lies in flash; the code reaches its
 * dictionary where that is then (rpxxxx_link.lds.S). Both literals must be those of this place.
 */
function copiesFrom(bytes: Buffer, address: number, dictionaryAt: number): boolean {
  const head = bytes.subarray(0, RP2040_BOOT_CODE);
  for (let from = 0; from < RP2040_BOOT_CODE; from += 4) {
    const at = head.indexOf(word(address + from));
    if (at < 4) continue;
    // It stands behind the address that the copy goes to.
    const to = head.readUInt32LE(at - 4);
    if (to >= RP2040_RAM && bytes.includes(word(to + dictionaryAt - from))) return true;
  }
  return false;
}

/** Little-endian, as a literal of the code. */
function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

type KlipperConfig = Readonly<Record<string, string | number>>;

interface FoundDictionary {
  readonly version: string;
  readonly config: KlipperConfig;
  readonly compressed: Uint8Array;
}

function inflateDictionary(bytes: Uint8Array): FoundDictionary | undefined {
  try {
    const text = inflateSync(bytes);
    const parsed: { app?: unknown; version?: string; config?: KlipperConfig } = JSON.parse(
      text.toString('utf8'),
    );
    if (parsed.app !== 'Klipper' || parsed.config === undefined) return undefined;
    return {
      version: parsed.version ?? '',
      config: parsed.config,
      compressed: bytes.subarray(0, streamLength(bytes, text)),
    };
  } catch {
    // Not a zlib stream, or a torn one.
    return undefined;
  }
}

/** Where the stream ends: behind its big-endian Adler-32, which nothing before it equals by chance. */
function streamLength(bytes: Uint8Array, text: Uint8Array): number {
  let low = 1;
  let high = 0;
  for (const byte of text) {
    low = (low + byte) % 65_521;
    high = (high + low) % 65_521;
  }
  const check = Buffer.of(high >> 8, high & 0xff, low >> 8, low & 0xff);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(check) + check.length;
}
