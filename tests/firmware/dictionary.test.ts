// Klipper's dictionary, from an image and from a running firmware.
import { describe, expect, test } from '@jest/globals';
import { deflateSync } from 'node:zlib';
import { findDictionaries, readDictionary } from '../../src/firmware/dictionary.ts';
import * as build from './build-image.ts';

const packed = build.dictionaryOf('v0.13.0', { MCU: 'stm32f446xx' });
const pack = (text: string): Uint8Array => deflateSync(text, { level: 9 });

describe('one dictionary', () => {
  test('is read, whatever follows it', () => {
    const contents = { version: 'v0.13.0', config: { MCU: 'stm32f446xx' } };
    expect(readDictionary(packed)).toEqual(contents);
    expect(readDictionary(build.chip(packed.length + 50, [0, packed]))).toEqual(contents);
  });

  test('of a few bytes is read too', () => {
    const text = '{"app":"Klipper","commands":{},"config":{},"version":"v1"}';
    expect(findDictionaries(pack(text))).toEqual([{ offset: 0, contents: { version: 'v1', config: {} } }]);
  });

  test.each([
    ['not a stream', build.noise(100)],
    ['damaged', packed.map((byte, at) => (at > 40 && at < 60 ? 0x55 : byte))],
    ['of something else', pack('{"name":"x","app":"Klipper"}')],
    ['not JSON', pack('{"app":"Klipper","version":')],
    ['without commands', pack('{"app":"Klipper","config":{},"version":"v1"}')],
    ['without a version', pack('{"app":"Klipper","commands":{},"config":{}}')],
    ['with a list for its config', pack('{"app":"Klipper","commands":{},"config":[],"version":"v1"}')],
  ])('%s is none', (_, bytes) => {
    expect(readDictionary(bytes)).toBeUndefined();
    expect(findDictionaries(bytes)).toEqual([]);
  });
});

test('a cut dictionary is found, but has no contents', () => {
  const cut = packed.subarray(0, packed.length - 20);
  expect(findDictionaries(cut)).toEqual([{ offset: 0, contents: null }]);
  expect(readDictionary(cut)).toBeUndefined();
});

test('all dictionaries in a memory are found, chance matches of the header are not', () => {
  const memory = build.chip(10_000, [100, Uint8Array.of(0x78, 0xda, 0x05)], [500, packed], [7001, packed]);
  expect(findDictionaries(memory).map(({ offset }) => offset)).toEqual([500, 7001]);
});
