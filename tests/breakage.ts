// Breaks the product on purpose, one line at a time, and sees a test fail each time.
//   tests/breakage.ts [WORD]        all entries, or those with WORD in their file or reason
//   tests/breakage.ts --share 5     a fifth of them, another one with every commit: for .ci/run, which has not the time
// The list is tests/breakage.json: { file, from, to, tests, why }. `from` must stand exactly once in the file.
// Works on copies of the tree in a temporary folder; the checkout is never touched.
import { execFile, execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

interface Breakage {
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** Test files (jest patterns) of which at least one must fail. */
  readonly tests: readonly string[];
  readonly why: string;
}

const root = resolve(import.meta.dirname, '..');
const say = (line: string) => process.stdout.write(`${line}\n`);
const { values, positionals } = parseArgs({ options: { share: { type: 'string' } }, allowPositionals: true });

function chosen(): readonly Breakage[] {
  const all: Breakage[] = JSON.parse(readFileSync(join(root, 'tests/breakage.json'), 'utf8'));
  const [word] = positionals;
  if (word !== undefined) return all.filter(({ file, why }) => `${file} ${why}`.includes(word));
  if (values.share === undefined) return all;
  const shares = Number(values.share);
  const commits = Number(
    execFileSync('git', ['-C', root, 'rev-list', '--count', 'HEAD'], { encoding: 'utf8' }),
  );
  const turn = commits % shares;
  say(`every ${shares}th of ${all.length} entries, from the ${turn + 1}th`);
  return all.filter((_, n) => n % shares === turn);
}

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

function jest(
  tree: string,
  words: readonly string[],
  timeoutMs: number,
): Promise<{ ok: boolean; stdout: string }> {
  const args = [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    join(root, 'node_modules/jest/bin/jest.js'),
    ...words,
  ];
  return new Promise((done) => {
    execFile(
      process.execPath,
      args,
      { cwd: tree, timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 1 << 28 },
      (error, stdout) => done({ ok: error === null, stdout }),
    );
  });
}

/** How long each test file takes when nothing is broken, ms. Throws where one fails: every breakage would look caught. */
async function soundTimes(tree: string, patterns: readonly string[]): Promise<Map<string, number>> {
  const { ok, stdout } = await jest(tree, ['--json', ...patterns], 1_200_000);
  const { testResults = [] } = JSON.parse(stdout === '' ? '{}' : stdout) as {
    testResults?: { name: string; status: string; startTime: number; endTime: number }[];
  };
  const failing = testResults.filter(({ status }) => status !== 'passed').map(({ name }) => name);
  if (!ok) throw new Error(`without any breakage these fail: ${failing.join(', ')}`);
  const times = new Map(testResults.map((one) => [one.name, one.endTime - one.startTime]));
  const idle = patterns.filter((pattern) => filesOf(pattern, times).length === 0);
  if (idle.length > 0) throw new Error(`no test file is called ${idle.join(', ')}`);
  return times;
}

const filesOf = (pattern: string, times: Map<string, number>): number[] =>
  [...times].filter(([name]) => new RegExp(pattern, 'i').test(name)).map(([, ms]) => ms);

/** A breakage that never ends is caught, too: after ten times as long as the tests take. */
function limitMs(tests: readonly string[], times: Map<string, number>): number {
  const soundMs = tests.flatMap((pattern) => filesOf(pattern, times)).reduce((sum, ms) => sum + ms, 0);
  return 30_000 + 10 * soundMs;
}

async function tryOne(
  tree: string,
  { file, from, to, tests }: Breakage,
  times: Map<string, number>,
): Promise<string | undefined> {
  const path = join(tree, file);
  const whole = readFileSync(path, 'utf8');
  if (whole.split(from).length !== 2)
    return `"${from}" stands ${whole.split(from).length - 1} times in ${file}`;
  writeFileSync(
    path,
    whole.replace(from, () => to),
  );
  try {
    const { ok } = await jest(tree, ['--runInBand', '--bail', ...tests], limitMs(tests, times));
    return ok ? 'no test noticed' : undefined;
  } finally {
    writeFileSync(path, whole);
  }
}

const list = chosen();
const left = [...list];
let passed = 0;
let failed = 0;

async function worker(times: Map<string, number>): Promise<void> {
  const tree = copyTree();
  try {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const complaint = await tryOne(tree, next, times);
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

const sound = copyTree();
try {
  // Without names jest would run every test there is.
  if (list.length === 0) throw new Error(`no entry has ${positionals.join()} in its file or reason`);
  const times = await soundTimes(sound, [...new Set(list.flatMap(({ tests }) => tests))]);
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, () => worker(times)));
} catch (error) {
  say((error as Error).message);
  failed += 1;
} finally {
  rmSync(sound, { recursive: true, force: true });
}
say(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
