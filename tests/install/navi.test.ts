// The sidebar's file: one wrong sign in it and all of a user's own links are gone.
import { expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';

const script = join(import.meta.dirname, '../../scripts/install/navi.mjs');
const run = (text: string, ...args: string[]) => {
  const { status, stdout } = spawnSync(process.execPath, [script, ...args], {
    input: text,
    encoding: 'utf8',
  });
  return { status, text: stdout };
};
const add = (text: string) => run(text, 'add', 'https://example.com/o');

const link = fc.record({ title: fc.string(), href: fc.webUrl(), position: fc.nat() });
const space = fc.constantFrom('', ' ', '\n', '\r\n', '\t', '\n\n    ');

test('whatever stands there: ours comes behind it, the rest is kept to the byte, and it goes again', () => {
  fc.assert(
    fc.property(fc.array(link, { maxLength: 4 }), space, space, fc.nat(4), (links, before, after, indent) => {
      const text = `${before}${JSON.stringify(links, null, indent)}${after}`;
      const added = add(text);
      expect(added.status).toBe(0);
      expect(JSON.parse(added.text)).toEqual([...links, expect.objectContaining({ title: 'Octopus' })]);
      expect(added.text.startsWith(text.slice(0, text.lastIndexOf(']')).trimEnd())).toBe(true);
      expect(add(added.text).text).toBe(added.text);
      expect(JSON.parse(run(added.text, 'remove').text)).toEqual(links);
    }),
    { numRuns: 25 },
  );
});

test('what is no list of links is left alone; nothing at all becomes one', () => {
  for (const text of ['{}', '"x"', '[1,', 'null', '[] x']) expect(add(text)).toEqual({ status: 1, text: '' });
  for (const text of ['', ' \n']) expect(JSON.parse(add(text).text)).toHaveLength(1);
  expect(run('[{"title":"Octopus","href":"/old","position":1}]', 'add', '/new').text).toContain(
    '"position": 1',
  );
  expect(run('[ ]', 'remove')).toEqual({ status: 0, text: '[ ]' });
});
