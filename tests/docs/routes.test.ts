// docs/routes.md names every way in that a board's data may have.
import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { ROUTES } from '../../src/boards/types.ts';

test('each route has its row', () => {
  const page = readFileSync(resolve(import.meta.dirname, '../../docs/routes.md'), 'utf8');
  expect([...page.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, name]) => name)).toEqual([...ROUTES]);
});
