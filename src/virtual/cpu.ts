// Virtual bench, the virtual CPU: what a program in flash turns out to be when it is started at an address.

import { inflateSync } from 'node:zlib';
import { BOOT2_BYTES, isBoot2 } from './boot2.ts';
import { PROTOCOL_WORD, type KatapultProtocol } from './katapult/frames.ts';
import type { FlashMemory } from './silicon/flash-memory.ts';
import type { ChipSilicon } from './silicon/silicon.ts';
import { readSeal, sealHolds, viewOf } from './seal.ts';

export type KlipperWire = 'usb' | 'bridge' | 'can' | 'uart';

export interface KlipperProgram {
  readonly kind: 'klipper';
  readonly mcu: string;
  readonly version: string;
  readonly transport: KlipperWire;
  /** FLASH_APPLICATION_ADDRESS: where it was linked, and runs. */
  readonly linkAddress: number;
  /** As embedded: what `identify` hands out. */
  readonly dictionary: Uint8Array;
}

export interface KatapultProgram {
  readonly kind: 'katapult';
  readonly mcu: string;
  readonly version: string;
  readonly transport: 'usb' | 'can';
  readonly protocol: KatapultProtocol;
  readonly appAddress: number;
}

export interface DeployerProgram {
  readonly kind: 'deployer';
  readonly katapult: Uint8Array;
}

export type Program =
  | KlipperProgram
  | KatapultProgram
  | DeployerProgram
  | { readonly kind: 'stock' }
  /** It crashes or hangs: nothing ever appears on USB. */
  | { readonly kind: 'nothing'; readonly why: string };

export interface CpuBoard {
  readonly mcu: string;
  readonly crystalHz: number;
}

export type ChipFlash = FlashMemory<ChipSilicon>;

const SIGNATURE = Buffer.from('CanBoot!', 'latin1');
const CPSID_I = [0x72, 0xb6] as const;
/** Only the first bytes of a bootloader are searched for its strings: the 128 KiB of an H7 sector. */
const BOOTLOADER_BYTES = 0x2_0000;

/** Where reset leads; undefined where the chip's ROM finds nothing that it would start. */
export function bootAddress(flash: ChipFlash): number | undefined {
  const { family, flashBase } = flash.mcu;
  if (family !== 'rp2040') return flashBase;
  return isBoot2(flash.peek(flashBase, BOOT2_BYTES)) ? flashBase + BOOT2_BYTES : undefined;
}

export function judgeProgram(flash: ChipFlash, board: CpuBoard, address: number): Program {
  const { mcu } = flash;
  const end = mcu.sectors.reduce((sum, sector) => Math.max(sum, sector.address + sector.sizeBytes), 0);
  if (address < mcu.flashBase || address + 64 > end) return nothing('the address is outside flash');
  const memory = flash.peek(address, end - address);
  const view = viewOf(memory);
  const stackTop = view.getUint32(0, true);
  const vector = view.getUint32(4, true);
  const inRam = mcu.ram.some((ram) => stackTop > ram.address && stackTop <= ram.address + ram.sizeBytes);
  if (!inRam) return nothing(`the stack pointer ${hex(stackTop)} is not in RAM`);
  if ((vector & 1) === 0) return nothing(`the reset vector ${hex(vector)} is not Thumb code`);
  const entry = vector - 1;
  if (entry < address || entry + 4 > end) return nothing(`the reset vector ${hex(vector)} leaves the image`);

  const seal = readSeal(memory);
  if (seal !== undefined) {
    if (!sealHolds(memory, seal, address)) return nothing('the image is torn or lies at the wrong address');
    if (seal.crystalHz !== board.crystalHz) {
      return nothing(`built for a crystal of ${seal.crystalHz} Hz, the board has ${board.crystalHz} Hz`);
    }
  }
  // What a sealed image calls its own ends with it; an older image's remains may lie behind.
  const image = seal === undefined ? memory : memory.subarray(0, seal.sizeBytes);
  if (flash.hasEccError(address, image.length === memory.length ? 64 : image.length)) {
    return nothing('a flash word of the image has an ECC error: bus fault');
  }
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.byteLength);
  return judgeImage(bytes, board, { address, entry: entry - address, end, mcu });
}

interface Place {
  readonly address: number;
  /** Of the reset handler, from `address`. */
  readonly entry: number;
  readonly end: number;
  readonly mcu: ChipSilicon;
}

function judgeImage(bytes: Buffer, board: CpuBoard, place: Place): Program {
  const { entry, mcu } = place;
  if (entry >= 8 && bytes.subarray(entry - 8, entry).equals(SIGNATURE)) return katapult(bytes, board, place);
  if (bytes[entry] === CPSID_I[0] && bytes[entry + 1] === CPSID_I[1]) {
    // A deployer has two vectors only, so its code begins right behind them.
    if (entry === 8) return deployer(bytes, mcu);
    return klipper(bytes, board, place);
  }
  const head = bytes.subarray(0, BOOTLOADER_BYTES);
  if (['FIRMWARE.CUR', 'firmware.bin', 'admin.txt'].every((name) => head.includes(name))) {
    return { kind: 'stock' };
  }
  return nothing('there is no code at the reset vector');
}

function klipper(bytes: Buffer, board: CpuBoard, { address, mcu: chip }: Place): Program {
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

function katapult(bytes: Buffer, board: CpuBoard, { address, end }: Place): Program {
  const head = bytes.subarray(0, 0x2000);
  const mcu = /stm32[fgh]\d\w\dx[bx]|rp2040/.exec(head.toString('latin1'))?.[0];
  const version = /v\d+\.\d+\.\d+[-\w]*/.exec(head.toString('latin1'))?.[0];
  // A build of protocol 1.0 does not name its version anywhere.
  const protocol = version === undefined ? '1.0' : '1.1';
  const appAddress = launchAddress(head, PROTOCOL_WORD[protocol], { address, end });
  if (mcu === undefined || appAddress === undefined) return nothing('a torn Katapult');
  if (mcu !== board.mcu) return nothing(`built for ${mcu}, the board is a ${board.mcu}`);
  const transport = head.includes(Buffer.from('katapult', 'utf16le')) ? 'usb' : 'can';
  return { kind: 'katapult', mcu, version: version ?? '', protocol, transport, appAddress };
}

/** PROTO_VERSION is followed by LAUNCH_APP_ADDRESS: held in all builds of section 2. */
function launchAddress(
  head: Buffer,
  protocolWord: number,
  { address: from, end }: Pick<Place, 'address' | 'end'>,
): number | undefined {
  for (let at = 0; at + 8 <= head.length; at += 4) {
    if (head.readUInt32LE(at) !== protocolWord) continue;
    const address = head.readUInt32LE(at + 4);
    if (address > from && address < end) return address;
  }
  return undefined;
}

function deployer(bytes: Buffer, { family, flashBase }: ChipSilicon): Program {
  const signature = bytes.indexOf(SIGNATURE);
  const boot2 = family === 'rp2040' ? BOOT2_BYTES : 0;
  // The embedded image has the vector table that leads to the signature, behind its boot2 where the chip wants one.
  for (let at = 32 + boot2; at < signature; at += 4) {
    if (bytes.readUInt32LE(at + 4) === flashBase + boot2 + 1 + signature + 8 - at) {
      return { kind: 'deployer', katapult: Uint8Array.from(bytes.subarray(at - boot2)) };
    }
  }
  return nothing('a torn deployer');
}

function nothing(why: string): Program {
  return { kind: 'nothing', why };
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
