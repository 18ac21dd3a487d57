// The judge of coverage is judged on a program whose executed lines are known, run on the host by the same Node.
import { afterAll, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { coverageOf, report } from './coverage.ts';

const root = mkdtempSync(join(tmpdir(), 'octopus-coverage-'));
afterAll(() => rmSync(root, { recursive: true }));

const PROGRAM = `// Ünïcödé before the code moves no offset.
import type { Stats } from 'node:fs';

/**
 * Not code.
 */
interface Gone {
  readonly a: Stats;
}
export function asked(first: boolean): string | Gone {
  if (first) {
    return 'first';
  }
  return 'second';
}
function never(): void {
  asked(false);
}
if (process.argv.includes('never')) never();
asked(process.argv.includes('first'));
`;

function runWith(folder: string, ...args: string[]): void {
  execFileSync(process.execPath, [join(root, 'area/program.ts'), ...args], {
    env: { NODE_V8_COVERAGE: join(root, folder) },
  });
}

test('lines of code are told from types and comments, executed ones from others, and processes add up', () => {
  mkdirSync(join(root, 'area'));
  writeFileSync(join(root, 'area/program.ts'), PROGRAM);
  writeFileSync(join(root, 'area/unseen.ts'), 'export const one = 1;\n');
  writeFileSync(join(root, 'area/only-types.ts'), 'export type One = 1;\n');
  const checkout = { root, url: `${pathToFileURL(root).href}/`, area: 'area' };

  runWith('out/guest-1', 'first');
  mkdirSync(join(root, 'out/guest-2'));
  writeFileSync(join(root, 'out/guest-2/coverage-1-2-3.json'), '{"result":[{"url":');
  expect(coverageOf(join(root, 'out'), checkout)).toEqual([
    { file: 'area/only-types.ts', lines: 0, executed: 0, missing: [] },
    { file: 'area/program.ts', lines: 8, executed: 5, missing: [14, 16, 17] },
    { file: 'area/unseen.ts', lines: 1, executed: 0, missing: [1] },
  ]);

  runWith('out/guest-2');
  const files = coverageOf(join(root, 'out'), checkout);
  expect(files[1]).toMatchObject({ executed: 6, missing: [16, 17] });
  const { text, percent } = report(files);
  expect(percent).toBeCloseTo((100 * 6) / 9);
  expect(text).toMatch(/program\.ts +75 % {2}6\/8 {2}not: 16-17\n[^]*66\.7 % \(6 of 9\)$/);
});
