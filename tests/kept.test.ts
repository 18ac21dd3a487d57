// What is kept on the disk is read back as it was written, or not at all.
import { expect, test } from '@jest/globals';
import { array, number, object, optional, string } from 'superstruct';
import { seal, unseal } from '../src/kept.ts';

const Shape = object({
  board: string(),
  address: number(),
  steps: array(number()),
  note: optional(string()),
});
const record = { board: 'octopus', address: 0x0800_8000, steps: [1, 2, 3], note: undefined };
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

test('what was written is read, whoever has laid it out anew', () => {
  const bytes = seal(record);
  expect(unseal(bytes, Shape)).toEqual({ board: 'octopus', address: 0x0800_8000, steps: [1, 2, 3] });
  expect(text(bytes)).toMatch(/^\{\n {2}"board": "octopus",[^]*\n {2}"seal": "[0-9a-f]{16}"\n\}\n$/);
  const compact = new TextEncoder().encode(JSON.stringify(JSON.parse(text(bytes))));
  expect(unseal(compact, Shape)?.address).toBe(0x0800_8000);
});

test('each other letter, and each other length, makes it unreadable', () => {
  const bytes = seal(record);
  for (let at = 0; at < bytes.length; at++) {
    const spoilt = bytes.slice();
    // 4 makes of "8" a "<" and of "3" a "7": another number that is one.
    spoilt[at] = (spoilt[at] ?? 0) ^ 4;
    expect([at, unseal(spoilt, Shape)]).toEqual([at, undefined]);
    // Without its last line break it is whole.
    if (at < bytes.length - 1) expect([at, unseal(bytes.subarray(0, at), Shape)]).toEqual([at, undefined]);
  }
});

test.each([
  ['without a seal', JSON.stringify({ board: 'octopus', address: 1, steps: [] })],
  ['no JSON', 'board: octopus'],
  ['nothing', ''],
  ['null', 'null'],
  ['a list', '[1]'],
])('%s: nothing is read', (_name, file) => {
  expect(unseal(new TextEncoder().encode(file), Shape)).toBeUndefined();
});

test('sealed, but of another shape', () => {
  expect(unseal(seal({ board: 'octopus', address: 'high', steps: [] }), Shape)).toBeUndefined();
});
