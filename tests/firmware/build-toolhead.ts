// Small images of the chips on CAN toolheads, in the shapes that real builds were measured to have (Klipper v0.13.0-730 and
// Katapult v0.0.1-109, gcc 12.2): stack, vectors, both stages and their literals, where .data goes, where the dictionary is.
import { aligned, dictionaryOf, firstStage, loads, noise, putWords, wide } from './build-image.ts';

const ASCII = new TextEncoder();

export interface Chip {
  mcu: string;
  flash: number;
  /** Klipper's and the deployer's; Katapult's is `katapultStack`. */
  stackTop: number;
  katapultStack: number;
  /** Where Katapult launches its application. */
  launch: number;
  /** .data in RAM, in Klipper behind Katapult: behind the copied vectors, where there is a copy. */
  dataStart: number;
  /** What CAN is made with. */
  controller: number;
  clockHz: number;
  /** Before the vectors at the start of flash. */
  bootBytes: number;
  /** An RP2040 runs all but its stages from RAM, and keeps its constants there. */
  runsFromRam: boolean;
}

export const CHIPS = {
  stm32g0b1xx: {
    mcu: 'stm32g0b1xx',
    flash: 0x08000000,
    stackTop: 0x20024000,
    katapultStack: 0x20023ff8,
    launch: 0x08002000,
    dataStart: 0x20000000,
    controller: 0x40006800, // FDCAN2, on PB0 and PB1
    clockHz: 64000000,
    bootBytes: 0,
    runsFromRam: false,
  },
  stm32f072xb: {
    mcu: 'stm32f072xb',
    flash: 0x08000000,
    stackTop: 0x20004000,
    katapultStack: 0x20003ff8,
    launch: 0x08002000,
    dataStart: 0x200000bc,
    controller: 0x40006400,
    clockHz: 48000000,
    bootBytes: 0,
    runsFromRam: false,
  },
  rp2040: {
    mcu: 'rp2040',
    flash: 0x10000000,
    stackTop: 0x20042000,
    katapultStack: 0x20041c00,
    launch: 0x10004000,
    dataStart: 0x20000060,
    controller: 0x50200000, // PIO0
    clockHz: 12000000,
    bootBytes: 0x100,
    runsFromRam: true,
  },
} as const satisfies Record<string, Chip>;

export interface ToolheadKlipper {
  base?: number;
  version?: string;
  config?: Record<string, unknown>;
  /** The UTF-16 string of its USB descriptors. */
  usb?: boolean;
}

/** [second stage of the ROM] vectors, code, first and second stage, constants with the dictionary, .data. */
export function toolheadKlipper(chip: Chip, options: ToolheadKlipper = {}): Uint8Array {
  const { base = chip.launch, version = 'v0.13.0-730-g84104bbbd', usb = false } = options;
  const { config = { CANBUS_FREQUENCY: 1000000, RECEIVE_WINDOW: 192 } } = options;
  const vectorsAt = base === chip.flash ? chip.bootBytes : 0;
  const firstStageAt = vectorsAt + (chip.runsFromRam ? 0x60 : 0x400);
  const secondStageAt = firstStageAt + (chip.runsFromRam ? 0x14 : 0x204);
  const secondStageBytes = loads(Array.from({ length: 8 }, () => 0)).length;
  const constants = join(
    new Uint8Array(4), // the pointer to the dictionary
    usb ? wide('Klipper') : new Uint8Array(),
    base === chip.flash ? new Uint8Array() : ASCII.encode('CanBoot!'),
    noise(300),
    dictionaryOf(version, { MCU: chip.mcu, CLOCK_FREQ: chip.clockHz, ...config }),
  );
  const constantsAt = secondStageAt + secondStageBytes;
  const dictionaryAt = constantsAt + constants.indexOf(0x78, 4 + constants.subarray(4).findIndex(isZlib));
  const variables = noise(0x34);
  const dataAt = chip.runsFromRam ? constantsAt : aligned(constantsAt + constants.length);
  const size = aligned(constantsAt + constants.length) + variables.length;
  const dataEnd = chip.dataStart + size - dataAt;
  const image = new Uint8Array(size);
  image.set(noise(constantsAt));
  if (vectorsAt > 0) image.set(secondStageBlock());
  putWords(image, vectorsAt, [chip.stackTop, base + firstStageAt + 1, base + firstStageAt + 0x15]);
  image.set(firstStage(chip.stackTop, base + secondStageAt + 1), firstStageAt);
  const bss = [dataEnd + 0x300, dataEnd];
  const literals = [0xe000e100, 0xe000e010, 0xe000ed00, dataEnd, chip.dataStart, base + dataAt, ...bss];
  image.set(loads(literals), secondStageAt);
  image.set(constants, constantsAt);
  const pointer = chip.runsFromRam ? chip.dataStart + dictionaryAt - dataAt : base + dictionaryAt;
  putWords(image, constantsAt, [pointer]);
  image.set(variables, size - variables.length);
  return image;

  function isZlib(value: number, index: number): boolean {
    return value === 0x78 && constants[4 + index + 1] === 0xda;
  }
}

/** [second stage of the ROM] vectors, signature, branch, second stage, constants; .data is empty but on an RP2040. */
export function toolheadKatapult(
  chip: Chip,
  {
    transport = 'can',
    version = 'v0.0.1-109-g902f335',
  }: { transport?: 'usb' | 'can'; version?: string } = {},
): Uint8Array {
  const entryAt = chip.bootBytes + 0x68;
  const secondStageAt = entryAt + 4;
  const constantsAt = secondStageAt + loads(Array.from({ length: 11 }, () => 0)).length;
  const constants = new Uint8Array(12);
  putWords(constants, 0, [0x00010100, chip.launch, transport === 'can' ? chip.controller : 0x40005c00]);
  const strings = ASCII.encode(`${chip.mcu}\0${version}\0`);
  const unpadded = transport === 'usb' ? join(constants, usbTail(strings)) : join(constants, strings);
  const end = constantsAt + unpadded.length;
  // .data of an RP2040 ends at a word; on an STM32 it is empty, at the next word behind a file that ends with its last string.
  const size = chip.runsFromRam ? aligned(end) : end;
  const dataAt = chip.runsFromRam ? constantsAt : aligned(end);
  const dataStart = chip.runsFromRam ? chip.dataStart : 0x20000000;
  const dataEnd = chip.runsFromRam ? dataStart + size - dataAt : dataStart;
  const image = new Uint8Array(size);
  image.set(noise(constantsAt));
  if (chip.bootBytes > 0) image.set(secondStageBlock());
  putWords(image, chip.bootBytes, [chip.katapultStack, chip.flash + entryAt + 1]);
  image.set(ASCII.encode('CanBoot!'), entryAt - 8);
  image.set([0x00, 0xe0, 0xc0, 0x46], entryAt); // b.n to the next word, nop
  const request = [chip.katapultStack, 0xa9a8243d, 0x7b06ec45];
  const jump = [chip.launch, 0xe000ed00, chip.launch + 4];
  const data = [dataEnd, dataStart, chip.flash + dataAt, dataEnd + 0x1c8, dataEnd];
  image.set(loads([...request, ...jump, ...data]), secondStageAt);
  image.set(unpadded, constantsAt);
  return image;
}

/** USB builds end with the table of their descriptors, and so with zeros; the strings are before it. */
function usbTail(strings: Uint8Array): Uint8Array {
  const text = join(strings, wide('katapult'));
  const tail = new Uint8Array(aligned(text.length) + 12);
  tail.set(text);
  putWords(tail, tail.length - 12, [0x0409_0300, 0x080010f4, 0x18]);
  return tail;
}

/** An application that carries a Katapult. */
export function toolheadDeployer(chip: Chip, inside = toolheadKatapult(chip)): Uint8Array {
  const dataAt = 0x1c + loads(Array.from({ length: 5 }, () => 0)).length;
  const carried = new Uint8Array(aligned(inside.length + 5)).fill(0xff);
  carried.set(inside, 1);
  const ram = chip.runsFromRam ? 0x20000008 : 0x20000000;
  const image = new Uint8Array(dataAt + carried.length);
  putWords(image, 0, [chip.stackTop, chip.launch + 9]);
  image.set(firstStage(chip.stackTop, chip.launch + 0x1c + 1), 8);
  const dataEnd = chip.runsFromRam ? ram + carried.length : ram;
  const copy = chip.launch + (chip.runsFromRam ? dataAt : image.length);
  image.set(loads([0xe000e100, 0xe000ed00, dataEnd, ram, copy]), 0x1c);
  image.set(carried, dataAt);
  return image;
}

/** 252 bytes that look like nothing, and their checksum: what an RP2040's ROM wants first (datasheet 2.8.1.3.1). */
export function secondStageBlock(): Uint8Array {
  const block = new Uint8Array(256);
  block.set(noise(252));
  putWords(block, 252, [crc32Mpeg2(block.subarray(0, 252))]);
  return block;
}

/** By bytes and a table; the published check value over "123456789" is 0x0376e6e7. */
export function crc32Mpeg2(bytes: Uint8Array): number {
  const table = Array.from({ length: 256 }, (_, index) => {
    let value = index * 0x1000000;
    for (let bit = 0; bit < 8; bit++) {
      const carry = value >= 0x80000000;
      value = (value * 2) % 0x100000000;
      if (carry) value = (value ^ 0x04c11db7) >>> 0;
    }
    return value;
  });
  return bytes.reduce(
    (crc, byte) => (((crc << 8) >>> 0) ^ (table[(crc >>> 24) ^ byte] ?? 0)) >>> 0,
    0xffffffff,
  );
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
