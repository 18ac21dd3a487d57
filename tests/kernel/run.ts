// `npm run test:kernel`: prepares the kernel, runs the suites, and says which lines of src/hardware the guests executed.
// Arguments go to jest.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { coverageOf, report } from './coverage.ts';
import { prepare } from './qemu.ts';

prepare();
const folder = mkdtempSync(join(tmpdir(), 'octopus-guest-coverage-'));
// Paths before the option: it takes whatever follows.
const suites = ['--testTimeout', '300000', '--testMatch', '<rootDir>/tests/kernel/*.suite.ts'];
const jest = ['run', '-s', 'jest', '--', ...process.argv.slice(2), ...suites];
const { status } = spawnSync('npm', jest, {
  stdio: 'inherit',
  env: { ...process.env, GUEST_COVERAGE: folder },
});
// A few suites say nothing of the whole.
if (process.argv.length === 2) process.stdout.write(`${report(coverageOf(folder)).text}\n`);
rmSync(folder, { recursive: true, force: true });
process.exitCode = status ?? 1;
