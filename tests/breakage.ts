// Breaks the product on purpose, one line at a time, and sees a test fail each time.
// The list is tests/breakage.json: { file, from, to, tests, why }. `from` must stand exactly once in the file.
// Works on copies of the tree in a temporary folder; the checkout is never touched.
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

interface Breakage {
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** Test files (jest patterns) of which at least one must fail. */
  readonly tests: readonly string[];
  readonly why: string;
}

const root = resolve(import.meta.dirname, '..');
const wanted = process.argv[2];
const all: Breakage[] = JSON.parse(readFileSync(join(root, 'tests/breakage.json'), 'utf8'));
const list = wanted === undefined ? all : all.filter(({ file, why }) => `${file} ${why}`.includes(wanted));

function copyTree(): string {
  const copy = mkdtempSync(join(tmpdir(), 'octopus-breakage-'));
  for (const name of [
    'src',
    'tests',
    'bin',
    'config',
    'macros',
    'scripts',
    'systemd',
    'install.sh',
    'system_dependencies.json',
    '.gitignore',
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'ARCHITECTURE.md',
  ]) {
    cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

/** Whether the tests pass in `tree`. */
function testsPass(tree: string, tests: readonly string[]): Promise<boolean> {
  const jest = join(root, 'node_modules/jest/bin/jest.js');
  const args = [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    jest,
    '--runInBand',
    '--bail',
    ...tests,
  ];
  return new Promise((done) => {
    execFile(process.execPath, args, { cwd: tree, timeout: 300_000, maxBuffer: 1 << 26 }, (error) =>
      done(error === null),
    );
  });
}

async function tryOne(tree: string, { file, from, to, tests }: Breakage): Promise<string | undefined> {
  const path = join(tree, file);
  const whole = readFileSync(path, 'utf8');
  if (whole.split(from).length !== 2)
    return `"${from}" stands ${whole.split(from).length - 1} times in ${file}`;
  writeFileSync(
    path,
    whole.replace(from, () => to),
  );
  try {
    return (await testsPass(tree, tests)) ? 'no test noticed' : undefined;
  } finally {
    writeFileSync(path, whole);
  }
}

let passed = 0;
let failed = 0;
const say = (line: string) => process.stdout.write(`${line}\n`);
const left = [...list];
const patterns = [...new Set(list.flatMap(({ tests }) => tests))];

async function worker(): Promise<void> {
  const tree = copyTree();
  try {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const complaint = await tryOne(tree, next);
      if (complaint === undefined) passed += 1;
      else failed += 1;
      say(
        `${complaint === undefined ? 'caught  ' : 'SURVIVED'} ${next.file}: ${next.why}${complaint === undefined ? '' : ` (${complaint})`}`,
      );
    }
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

// Unbroken, the same tests must pass, or every breakage would look caught.
const sound = copyTree();
const unsound: string[] = [];
for (const pattern of patterns) if (!(await testsPass(sound, [pattern]))) unsound.push(pattern);
rmSync(sound, { recursive: true, force: true });
if (unsound.length > 0) {
  say(`these tests fail without any breakage: ${unsound.join(', ')}`);
  failed += unsound.length;
} else {
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, worker));
}
say(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
