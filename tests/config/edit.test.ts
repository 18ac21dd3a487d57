// One key changed in place: the new value is read back, and nothing else has moved.
import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { KLIPPER, MOONRAKER } from '../../src/config/dialect.ts';
import { withValue } from '../../src/config/edit.ts';
import { readDocument } from '../../src/config/sections.ts';
import { answerOrRefusal, refused } from './refused.ts';

const edit = (text: string, value = 'new', section = 'a', key = 'k') =>
  withValue(readDocument(text, 'x.conf'), section, key, value);

test.each([
  ['a value', '[a]\nk: old\n', '[a]\nk: new\n'],
  ['the writing around it', '# c\r\n[a]\r\n K  =  old  # c\r\nl: x', '# c\r\n[a]\r\n K  =  new  # c\r\nl: x'],
  ['an empty value', '[a]\nk:\nl: x', '[a]\nk: new\nl: x'],
  ['an empty value and a comment', '[a]\nk: # c', '[a]\nk: new # c'],
  ['several lines', '[a]\nk: u\n  v # c\n\n# d\n  w\nl: x', '[a]\nk: new\n# c\n\n# d\nl: x'],
  ['a missing key', '[a]\nl: x\n  y\n\n[b]\n', '[a]\nl: x\n  y\nk: new\n\n[b]\n'],
  ['a missing key below indented ones', '[a]\n  l: x', '[a]\n  l: x\n  k: new'],
  ['a missing key in an empty section', '[a]\r\n[b]\r\n', '[a]\r\nk: new\r\n[b]\r\n'],
  [
    'a missing key above what is indented',
    '[a]\n\n  # c\n   [b]\nk: x',
    '[a]\n   k: new\n\n  # c\n   [b]\nk: x',
  ],
  ['a missing section', '[b]\nk: x', '[b]\nk: x\n\n[a]\nk: new\n'],
  ['an empty file', '', '[a]\nk: new\n'],
  ['a byte order mark', '\uFEFF[a]\nk: old', '\uFEFF[a]\nk: new'],
])('%s', (_, before, after) => {
  expect(edit(before)).toBe(after);
});

test.each(['two\nlines', 'a # b', '# b', ' a', 'a ', 'a\0', 'a ; b'])('%j cannot be written', (value) => {
  expect(refused(() => edit('[a]\nk: old', value)).message).toMatch(/cannot be written/);
});

const lines = fc.constantFrom('[a]', '[b]', 'k: v', 'l = w # c', '  more', '', '# c', '  l: x', 'm:', ' ; c');
const texts = fc
  .tuple(fc.array(lines, { maxLength: 12 }), fc.constantFrom('\n', '\r\n'))
  .map(([all, end]) => all.join(end));

test.each([
  ['moonraker', MOONRAKER],
  ['klipper', KLIPPER],
])('%s: whatever the file, the value is there afterwards and every other one unchanged', (_, dialect) => {
  const flat = (text: string) =>
    [...readDocument(text, 'x.conf', dialect).sections.values()].flatMap(({ name, entries }) =>
      [...entries.values()].map(({ key, value }) => `${name}/${key}=${value}`),
    );
  fc.assert(
    fc.property(
      texts,
      fc.constantFrom('a', 'b', 'c'),
      fc.constantFrom('k', 'l', 'n'),
      (text, section, key) => {
        const document = answerOrRefusal(() => readDocument(text, 'x.conf', dialect));
        if (document === undefined) return;
        const after = withValue(document, section, key, 'new');
        const isOther = (one: string) => !one.startsWith(`${section}/${key}=`);
        expect(flat(after).filter(isOther).sort()).toEqual(flat(text).filter(isOther).sort());
        expect(flat(after)).toContain(`${section}/${key}=new`);
        expect(withValue(readDocument(after, 'x.conf', dialect), section, key, 'new')).toBe(after);
      },
    ),
    { numRuns: 1000 },
  );
});
