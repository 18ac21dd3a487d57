// `npm run test:kernel`: prepares the kernel, runs the suites, and says which lines of src/hardware the guests executed.
// Arguments go to jest.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { coverageOf, report } from './coverage.ts';
import { prepare } from './qemu.ts';

/** What is below is adapters that nobody has tried on a kernel. */
const FLOOR_PERCENT = 85;

prepare();
const folder = mkdtempSync(join(tmpdir(), 'octopus-guest-coverage-'));
// Paths before the option: it takes whatever follows.
const suites = ['--testTimeout', '300000', '--testMatch', '<rootDir>/tests/kernel/*.suite.ts'];
const jest = ['run', '-s', 'jest', '--', ...process.argv.slice(2), ...suites];
const { status } = spawnSync('npm', jest, {
  stdio: 'inherit',
  env: { ...process.env, GUEST_COVERAGE: folder },
});
process.exitCode = status ?? 1;
// A few suites say nothing of the whole.
if (process.argv.length === 2) {
  const { text, percent } = report(coverageOf(folder));
  process.stdout.write(`${text}\n`);
  if (percent < FLOOR_PERCENT) {
    process.stdout.write(`${FLOOR_PERCENT} % of the lines of src/hardware must be executed in the guest.\n`);
    process.exitCode = 1;
  }
}
rmSync(folder, { recursive: true, force: true });
