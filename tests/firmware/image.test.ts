// Containers and refusals: what is read, what is refused, with which code, place and cure.
import { describe, expect, test } from '@jest/globals';
import { readImage } from '../../src/firmware/image.ts';
import * as build from './build-image.ts';
import { refusalOf } from './refusal.ts';

const AT_32K = build.FLASH + 0x8000;
const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));
const image = build.klipper();
const hexLines = build.intelHex(image, AT_32K).split('\r\n');
const hexWith = (change: (lines: string[]) => void): Uint8Array => {
  const lines = [...hexLines];
  change(lines);
  return bytesOf(lines.join('\n'));
};

describe('Intel HEX', () => {
  test.each([
    ['\n', false],
    ['\r\n', true],
    ['\r', false],
  ])('line ends %j', (end, lower) => {
    const text = `${end}${hexLines.join(end)}${end}${end}`;
    const read = readImage(bytesOf(lower ? text.toLowerCase() : text), 'k.hex');
    expect(read).toEqual({ name: 'k.hex', format: 'hex', address: AT_32K, bytes: image });
  });

  test('records in any order, and segment addresses', () => {
    const [first, , ...rest] = build.intelHex(image, AT_32K).split('\r\n');
    const second = build.hexRecord(0, AT_32K % 0x10000, [...image.subarray(0, 16)]);
    const shuffled = [first, ...rest.slice(0, -3), second, ...rest.slice(-3)].join('\n');
    expect(readImage(bytesOf(shuffled), 'k.hex').bytes).toEqual(image);
    const segment = [
      build.hexRecord(2, 0, [0xf0, 0x00]),
      build.hexRecord(0, 0, [1]),
      build.hexRecord(1, 0, []),
    ];
    expect(refusalOf(() => readImage(bytesOf(segment.join('\n')), 'k.hex')).message).toContain('0x000f0000');
  });

  test('a gap reads as erased flash, and padding between sections as objcopy pads', () => {
    const part = build.stranger();
    const lines = [
      build.intelHex(part, build.FLASH).split('\r\n').slice(0, -3),
      build.hexRecord(0, part.length + 3, [7, 7]),
      build.hexRecord(0, part.length + 0x100, [8]),
      build.hexRecord(1, 0, []),
    ];
    const { bytes } = readImage(bytesOf(lines.flat().join('\n')), 'two.hex');
    expect([...bytes.subarray(part.length, part.length + 6)]).toEqual([0, 0, 0, 7, 7, 0xff]);
    expect([...bytes.subarray(part.length + 0xfe)]).toEqual([0xff, 0xff, 8]);
  });

  test.each([
    ['without an end record', hexWith((lines) => lines.splice(-2)), 'image-truncated', /:\d+$/],
    ['cut inside a line', bytesOf(hexLines.join('\n').slice(0, 1000)), 'image-truncated', /:24$/],
    [
      'a wrong checksum',
      hexWith((lines) => lines.splice(4, 1, `${hexLines[4]?.slice(0, -2)}00`)),
      'image-foreign',
      /:5$/,
    ],
    ['a wrong length', hexWith((lines) => lines.splice(6, 1, ':FF000000FF')), 'image-foreign', /:7$/],
    [
      'a type that does not exist',
      hexWith((lines) => lines.splice(2, 1, build.hexRecord(9, 0, []))),
      'image-foreign',
      /:3$/,
    ],
    [
      'an address record of one byte',
      hexWith((lines) => lines.splice(0, 1, build.hexRecord(4, 0, [8]))),
      'image-foreign',
      /:1$/,
    ],
    ['text between', hexWith((lines) => lines.splice(8, 0, 'hello')), 'image-foreign', /:9$/],
    ['something behind its end', hexWith((lines) => lines.push(hexLines[1] ?? '')), 'image-foreign', /:\d+$/],
    ['one line twice', hexWith((lines) => lines.splice(3, 0, hexLines[2] ?? '')), 'image-foreign', /:4$/],
    ['no data', bytesOf(build.hexRecord(1, 0, [])), 'image-empty', /k\.hex$/],
    ['an AVR program', bytesOf(build.intelHex(image, 0)), 'image-foreign', /:2$/],
    ['option bytes', bytesOf(build.intelHex(image, 0x1fffc000)), 'image-foreign', /:2$/],
    [
      'two programs far apart',
      bytesOf([...hexLines.slice(0, -3), ...build.intelHex(image, 0x08060000).split('\r\n')].join('\n')),
      'image-foreign',
      /:\d+$/,
    ],
    ['beyond 2 MiB', bytesOf(build.intelHex(image, 0x081ffff0)), 'image-foreign', /:\d+$/],
  ])('refused: %s', (_, file, code, place) => {
    const refusal = refusalOf(() => readImage(file, 'k.hex'));
    expect(refusal.code).toBe(code);
    expect(refusal.place).toMatch(place);
    expect(refusal.advice).not.toBe('');
  });
});

describe('ELF', () => {
  const file = build.elf([{ address: AT_32K, bytes: image }]);
  const patched = (at: number, value: number): Uint8Array => {
    const copy = file.slice();
    copy[at] = value;
    return copy;
  };

  test('is read at its load address', () => {
    expect(readImage(file, 'k.elf')).toEqual({ name: 'k.elf', format: 'elf', address: AT_32K, bytes: image });
  });

  test.each([
    ['64-bit', build.elf([], { elfClass: 2, machine: 183 }), 'image-foreign', /64-bit ARM/],
    ['of a PC', build.elf([], { machine: 62, elfClass: 2 }), 'image-foreign', /a PC/],
    ['of an AVR', build.elf([], { machine: 83 }), 'image-foreign', /an AVR/],
    ['unlinked', patched(16, 1), 'image-foreign', /object file/],
    ['with odd tables', patched(42, 31), 'image-foreign', /entries of 31 bytes/],
    ['with absurd tables', patched(45, 0x7f), 'image-foreign', /entries/],
    ['cut in the header', file.subarray(0, 40), 'image-truncated', /inside its header/],
    ['cut in the tables', file.subarray(0, 60), 'image-truncated', /header table/],
    [
      'cut in the data',
      build.elf([{ address: AT_32K, bytes: image }], { withSections: false }).subarray(0, 300),
      'image-truncated',
      /past the file/,
    ],
    ['without data', build.elf([]), 'image-empty', /no data/],
    ['for RAM', build.elf([{ address: 0x20000000, bytes: image }]), 'image-foreign', /0x20000000/],
  ])('refused: %s', (_, bytes, code, message) => {
    const refusal = refusalOf(() => readImage(bytes, 'k.elf'));
    expect(refusal.code).toBe(code);
    expect(refusal.message).toMatch(message);
  });
});

function uf2(family: number): Uint8Array {
  const block = new Uint8Array(512);
  build.putWords(block, 0, [0x0a324655, 0x9e5d5157, 0x2000, 0x10000000, 256, 0, 1, family]);
  return block;
}

describe('files that are no firmware for an STM32', () => {
  test.each([
    ['a PNG picture', bytesOf('\x89PNG\r\n\x1a\n' + '\0'.repeat(40))],
    ['a zip archive', bytesOf('PK\x03\x04' + '\0'.repeat(40))],
    ['a gzip archive', bytesOf('\x1f\x8b\x08' + '\0'.repeat(40))],
    ['a Windows program', bytesOf('MZ\x90\0' + '\0'.repeat(40))],
    ['a DfuSe (.dfu) container', bytesOf('DfuSe\x01' + '\0'.repeat(40))],
    ['a UF2 file, made for RP2040', uf2(0xe48bff56)],
    ['a UF2 file, made for another chip', uf2(1)],
    ['an image for an ESP8266 or ESP32', bytesOf('\xe9\x03\x02\x20' + '\0\x01'.repeat(40))],
    ['G-code, not firmware', bytesOf('; sliced\nG28 ; home\nG1 X10\n')],
    ['a web page', bytesOf('\n<!DOCTYPE html>\n<html>')],
    ['a Motorola S-record file', bytesOf('S00600004844521B\nS1130000')],
    ['a text file, not firmware', bytesOf('CONFIG_MACH_STM32=y\n')],
    ['does not begin with the vectors', build.noise(4096)],
    ['does not begin with the vectors', bytesOf('\0\0\x02\x20\x01\x01\0\x30' + '\0'.repeat(200))],
  ])('%s', (what, file) => {
    const refusal = refusalOf(() => readImage(file, 'file.bin'));
    expect(refusal.code).toBe('image-foreign');
    expect(refusal.message).toContain(what);
    expect(refusal.advice).not.toBe('');
  });

  test.each([
    ['an empty file', new Uint8Array(), 'image-empty'],
    ['erased flash', new Uint8Array(4096).fill(0xff), 'image-empty'],
    ['zeros', new Uint8Array(4096), 'image-empty'],
    ['three bytes', Uint8Array.of(0, 0, 2), 'image-truncated'],
    ['more than any flash', build.chip(0x200001, [0, image]), 'image-too-large'],
    ['a card image', new Uint8Array(0x800001), 'image-too-large'],
  ])('%s', (_, file, code) => {
    expect(refusalOf(() => readImage(file, 'file.bin'))).toMatchObject({ code, place: 'file.bin' });
  });

  test('2 MiB are allowed', () => {
    expect(readImage(build.chip(0x200000, [0, image]), 'dump.bin').bytes.length).toBe(0x200000);
  });
});
