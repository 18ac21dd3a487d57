// docs/toolheads.md says of every toolhead what its data says.
import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { boardByName, toolheadNames } from '../../src/boards/boards.ts';
import { hex } from '../../src/errors.ts';

const rows = readFileSync(new URL('../../docs/toolheads.md', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| `'));

test.each(toolheadNames())('%s', (name) => {
  const { mcu, crystalHz, applicationAddress } = boardByName(name);
  const [row, ...more] = rows.filter((line) => line.includes(`\`${name}\``));
  expect(more).toEqual([]);
  expect(row?.toLowerCase()).toContain(mcu.name.replace(/x.$/, ''));
  expect(row).toContain(hex(applicationAddress));
  expect(row).toContain(crystalHz === null ? 'as the board has it' : `${crystalHz / 1e6} MHz crystal`);
});
