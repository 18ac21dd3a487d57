// What an installation costs in a guest with a real Debian, written to docs/performance.md: `npm run bench:install`.
// Nothing here asserts; the figures are those of `npm run test:install`. `-- --figures FILE` writes those of a run that
// had INSTALL_FIGURES=FILE.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Figure } from '../install/vm/figures.ts';
import { writeInstallation } from './performance-page.ts';

const { figures } = parseArgs({ options: { figures: { type: 'string' } } }).values;
const folder = mkdtempSync(join(tmpdir(), 'octopus-figures-'));
const file = figures ?? join(folder, 'figures');
if (figures === undefined) {
  // One after the other: two guests would share the processors.
  for (const suite of ['flash', 'updates']) {
    const { status } = spawnSync(
      'npm',
      ['run', '-s', 'test:install', '--', `tests/install/vm/${suite}.suite.ts`],
      {
        stdio: 'inherit',
        env: { ...process.env, INSTALL_FIGURES: file },
      },
    );
    process.exitCode ||= status ?? 1;
  }
}
const all = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Figure);
rmSync(folder, { recursive: true, force: true });

const shown = ({ value, unit }: Figure) =>
  unit === 'ms' ? `${(value / 1000).toFixed(1)} s` : `${value} ${unit}`.trim();
const releases = [...new Set(all.map(({ release }) => release))];
// The last of several runs.
const cell = (what: string, release: string) => {
  const found = all.findLast((one) => one.what === what && one.release === release);
  return found === undefined ? '-' : shown(found);
};
const whats = [...new Set(all.map(({ what }) => what))];
const table = [
  `| | ${releases.join(' | ')} |`,
  `| --- | ${releases.map(() => '--:').join(' | ')} |`,
  ...whats.map((what) => `| ${what} | ${releases.map((release) => cell(what, release)).join(' | ')} |`),
].join('\n');

writeInstallation(`## The installation

Written by \`npm run bench:install\`: Debian with its own systemd, udev, polkit, Node and npm, and a real Moonraker, in QEMU without KVM, where a program that computes takes about ten times as long as on this machine (${cpus().length} cores, load ${loadavg()[1]?.toFixed(1)}). Sizes and memory are those of any 64-bit host; seconds are an upper bound for a Raspberry Pi.

${table}`);
process.stdout.write(`${table}\n`);
