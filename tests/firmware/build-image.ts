// Small firmware images for the tests: no program anyone could run, only what the recognisers look at, at the places where
// real builds have it. Real ones are some 45 KB of somebody else's code.
import { deflateSync } from 'node:zlib';

export const FLASH = 0x08000000;
const RAM = 0x20000000;
const STACK_TOP = 0x20020000;
const ASCII = new TextEncoder();

export interface KlipperOptions {
  base?: number;
  mcu?: string;
  version?: string;
  config?: Record<string, unknown>;
  /** Bytes of .data, which end the image. */
  dataBytes?: number;
  /** Noise between code and dictionary. */
  padding?: number;
  /** False: a dictionary of before 2023, which does not name its application. */
  namesApp?: boolean;
}

/** Vectors, first stage, second stage, a pointer to the dictionary, the dictionary, .data. */
export function klipper(options: KlipperOptions = {}): Uint8Array {
  const { base = FLASH + 0x8000, mcu = 'stm32f446xx', version = 'v0.13.0-1-gabcdef0' } = options;
  const {
    config = { RESERVE_PINS_USB: 'PA11,PA12' },
    dataBytes = 0x40,
    padding = 300,
    namesApp = true,
  } = options;
  const dictionary = dictionaryOf(version, { MCU: mcu, CLOCK_FREQ: 180000000, ...config }, namesApp);
  const firstStageAt = 0x40;
  const secondStageAt = firstStageAt + 20;
  const pointerAt = secondStageAt + 36;
  const dictionaryAt = pointerAt + 4 + padding;
  const dataAt = aligned(dictionaryAt + dictionary.length);
  const image = new Uint8Array(dataAt + dataBytes);
  putWords(image, 0, [STACK_TOP, base + firstStageAt + 1]);
  image.set(firstStage(STACK_TOP, base + secondStageAt + 1), firstStageAt);
  image.set(loads([RAM + dataBytes, RAM, base + dataAt, RAM + 0x300, RAM + dataBytes]), secondStageAt);
  putWords(image, pointerAt, [base + dictionaryAt]);
  image.set(noise(padding), pointerAt + 4);
  image.set(dictionary, dictionaryAt);
  image.set(noise(dataBytes), dataAt);
  return image;
}

export interface KatapultOptions {
  launch?: number;
  mcu?: string;
  version?: string;
  transport?: 'usb' | 'can' | 'serial';
  stackTop?: number;
  /** What the answer to CONNECT names as the launch address, where it shall differ from what is jumped to. */
  named?: number;
}

/** Vectors, signature, branch to the second stage, constants, strings; no .data, as in real builds. */
export function katapult(options: KatapultOptions = {}): Uint8Array {
  const { launch = FLASH + 0x8000, mcu = 'stm32f446xx', version = 'v0.0.1-109-g902f335' } = options;
  const { transport = 'usb', stackTop = STACK_TOP - 8, named = launch } = options;
  const ram = stackTop - (stackTop % 0x1000000);
  const entryAt = 0x48;
  const secondStageAt = 0x50;
  const constantsAt = secondStageAt + 40;
  const strings = ASCII.encode(`\0${mcu}\0${version}\0`);
  const usbName = transport === 'usb' ? wide('katapult') : new Uint8Array();
  const stringsAt = constantsAt + 12;
  const size = aligned(stringsAt + strings.length + usbName.length);
  const image = new Uint8Array(size);
  putWords(image, 0, [stackTop, FLASH + entryAt + 1]);
  image.set(ASCII.encode('CanBoot!'), entryAt - 8);
  image.set(wideBranch(secondStageAt - entryAt - 4), entryAt);
  image.set(loads([stackTop, launch, ram, ram, FLASH + size, ram + 0x100]), secondStageAt);
  putWords(image, constantsAt, [0x00010100, named, transport === 'can' ? 0x40006400 : 0x40011000]);
  image.set(strings, stringsAt);
  image.set(usbName, stringsAt + strings.length);
  return image;
}

/** An application that carries a Katapult; `skew` moves the carried one off word alignment. */
export function deployer(inside = katapult(), base = FLASH + 0x8000, skew = 1): Uint8Array {
  const carriedAt = 0x60 + skew;
  const dataAt = aligned(carriedAt + inside.length);
  const image = new Uint8Array(dataAt);
  putWords(image, 0, [STACK_TOP, base + 9]);
  image.set(firstStage(STACK_TOP, base + 0x1c + 1), 8);
  image.set(loads([RAM, RAM, base + dataAt, RAM, RAM + 4]), 0x1c);
  image.set(inside, carriedAt);
  return image;
}

/** @param interrupts as many vectors as the chip has for them; without, its table is noise */
export function stockBootloader(launch = FLASH + 0x8000, interrupts = 0): Uint8Array {
  const image = noise(4096);
  // In real ones most lead to one handler, and those that a chip does not use are zero.
  for (let at = 0; at < interrupts; at++) putWords(image, 64 + 4 * at, [at % 11 === 5 ? 0 : FLASH + 0x1fb]);
  if (interrupts > 0) putWords(image, 64 + 4 * interrupts, [0xd00cf8df]);
  putWords(image, 0, [0x20004be8, FLASH + 0x1e1]);
  putWords(image, 1024, [launch, launch, FLASH + 0x8000, FLASH + 0x20000, launch]);
  image.set(ASCII.encode('firmware.bin\0FIRMWARE.CUR\0admin.txt\0'), 2000);
  return image;
}

/** Something an STM32 would start, and nothing more is known. */
export function stranger(): Uint8Array {
  const image = noise(2048);
  putWords(image, 0, [0x2001fffc, FLASH + 0x8000 + 0x201]);
  return image;
}

export function dictionaryOf(version: string, config: Record<string, unknown>, namesApp = true): Uint8Array {
  // Long enough that it can be cut at many places.
  const commands = Object.fromEntries(
    Array.from({ length: 60 }, (_, index) => [
      `command_${index} oid=%c value=${(index * 7919) % 1000}`,
      index,
    ]),
  );
  const json = { ...(namesApp ? { app: 'Klipper' } : {}), build_versions: 'gcc', commands, config, version };
  return deflateSync(JSON.stringify(json), { level: 9 });
}

/** Intel HEX with 16 data bytes a line, as objcopy writes it. */
export function intelHex(image: Uint8Array, address: number): string {
  const lines: string[] = [];
  for (let at = 0; at < image.length; at += 16) {
    const here = address + at;
    if (at === 0 || here % 0x10000 < 16) lines.push(hexRecord(4, 0, [here >>> 24, (here >>> 16) & 0xff]));
    lines.push(hexRecord(0, here % 0x10000, [...image.subarray(at, at + 16)]));
  }
  lines.push(hexRecord(5, 0, [8, 0, 0, 1]), hexRecord(1, 0, []), '');
  return lines.join('\r\n');
}

export function hexRecord(type: number, offset: number, data: readonly number[]): string {
  const bytes = [data.length, offset >> 8, offset & 0xff, type, ...data];
  const checksum = -bytes.reduce((sum, value) => sum + value, 0) & 0xff;
  const digits = [...bytes, checksum].map((value) => value.toString(16).padStart(2, '0'));
  return `:${digits.join('').toUpperCase()}`;
}

export interface Section {
  address: number;
  bytes: Uint8Array;
  /** Where it is stored, if not where it runs. */
  loadAddress?: number;
  /** False: debug data, which never reaches the chip. */
  allocated?: boolean;
}

/** An ELF32 ARM executable; `withSections` false is a stripped one that has segments only. */
export function elf(
  sections: readonly Section[],
  { withSections = true, machine = 40, elfClass = 1 } = {},
): Uint8Array {
  const loaded = sections.filter(({ allocated = true }) => allocated);
  const headersAt = 52 + 32 * loaded.length;
  const offsets: number[] = [];
  let end = headersAt;
  for (const { bytes } of sections) {
    offsets.push(end);
    end += aligned(bytes.length);
  }
  const file = new Uint8Array(end + (withSections ? 40 * (sections.length + 1) : 0));
  file.set([0x7f, 0x45, 0x4c, 0x46, elfClass, 1, 1]);
  putWords(file, 16, [2 | (machine << 16), 1, FLASH, 52, withSections ? end : 0]);
  putWords(file, 40, [52 | (32 << 16), loaded.length | (40 << 16), withSections ? sections.length + 1 : 0]);
  for (const [index, section] of sections.entries()) {
    const { address, bytes, loadAddress = address, allocated = true } = section;
    const offset = offsets[index] ?? 0;
    file.set(bytes, offset);
    if (allocated) {
      const size = bytes.length;
      putWords(file, 52 + 32 * loaded.indexOf(section), [1, offset, address, loadAddress, size, size, 5, 4]);
    }
    if (withSections)
      putWords(file, end + 40 * (index + 1), [0, 1, allocated ? 2 : 0, address, offset, bytes.length]);
  }
  return file;
}

/** Bytes that look like nothing, the same each time. */
export function noise(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => ((index * index * 31 + index * 17 + 91) % 251) | 1);
}

/** A chip's flash from an address on: erased, with parts laid into it. */
export function chip(
  size: number,
  ...parts: readonly (readonly [offset: number, bytes: Uint8Array])[]
): Uint8Array {
  const memory = new Uint8Array(size).fill(0xff);
  for (const [offset, bytes] of parts) memory.set(bytes, offset);
  return memory;
}

export function putWords(bytes: Uint8Array, at: number, values: readonly number[]): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (const [index, value] of values.entries()) view.setUint32(at + 4 * index, value >>> 0, true);
}

/** cpsid i; ldr r3; ldr r2; mov sp, r3; bx r2; nop; then the two literals. */
export function firstStage(stackTop: number, secondStage: number): Uint8Array {
  const code = Uint8Array.of(
    0x72,
    0xb6,
    0x02,
    0x4b,
    0x02,
    0x4a,
    0x9d,
    0x46,
    0x10,
    0x47,
    0x00,
    0xbf,
    ...new Uint8Array(8),
  );
  putWords(code, 12, [stackTop, secondStage]);
  return code;
}

/** One ldr r0, [pc, #n] for each value, and the pool behind them. Must stand at a multiple of four. */
export function loads(values: readonly number[]): Uint8Array {
  const poolAt = aligned(2 * values.length);
  const code = new Uint8Array(poolAt + 4 * values.length);
  for (const index of values.keys()) {
    const pc = (2 * index + 4) & ~3;
    code.set([(poolAt + 4 * index - pc) / 4, 0x48], 2 * index);
  }
  if (values.length % 2 === 1) code.set([0x00, 0xbf], 2 * values.length);
  putWords(code, poolAt, values);
  return code;
}

/** b.w forward by less than 4 KiB. */
function wideBranch(distance: number): Uint8Array {
  const low = 0xb800 | (distance >> 1);
  return Uint8Array.of(0x00, 0xf0, low & 0xff, low >> 8);
}

export function wide(text: string): Uint8Array {
  return Uint8Array.from([...ASCII.encode(text)].flatMap((code) => [code, 0]));
}

export function aligned(value: number): number {
  return (value + 3) & ~3;
}
